/* Part of matmul_template.h: f32 activations. acc = fma(w, x, acc), columns forwards. */

typedef enum { LOAD_F32, LOAD_F16, LOAD_BF16, LOAD_E4M3, LOAD_E5M2 } float_load;

INLINE size_t load_bytes(float_load load)
{
    return load == LOAD_F32 ? 4 : load == LOAD_F16 || load == LOAD_BF16 ? 2 : 1;
}

INLINE vf load_weights(float_load load, const uint8_t *codes)
{
    switch (load) {
    case LOAD_F16: return vf_load_f16(codes);
    case LOAD_BF16: return vf_load_bf16(codes);
    case LOAD_E4M3: return vf_load_e4m3(codes);
    case LOAD_E5M2: return vf_load_e5m2(codes);
    default: return vf_load((const float *)(const void *)codes);
    }
}

/* n columns. w: [groups][n][16] codes, group_bytes apart; x: [tokens][n], x_stride apart. */
INLINE void float_tile(float_load load, bool from_memory, int groups, int tokens, size_t n, const uint8_t *w,
                       size_t group_bytes, const float *x, size_t x_stride, const tile_out *out,
                       const tile_ends *ends)
{
    const size_t column_bytes = NB_ROWS * load_bytes(load), strip_bytes = LANES * load_bytes(load);
    const int strips = groups * STRIPS_PER_GROUP;
    tile_sums acc;
    load_sums(strips, tokens, out, ends, acc);
    if (!from_memory)
        ask_for_next_sums(strips, tokens, out);
    UNROLL_4 for (size_t k = 0; k < n; k++) {
        vf weights[MAX_STRIPS];
        UNROLL for (int g = 0; g < groups; g++) {
            const uint8_t *column = w + (size_t)g * group_bytes + k * column_bytes;
            if (from_memory)
                __builtin_prefetch(column + PREFETCH_BYTES, 0, 2);
            else
                __builtin_prefetch(column + PANEL_PREFETCH_BYTES);
            UNROLL for (int s = 0; s < STRIPS_PER_GROUP; s++)
                weights[g * STRIPS_PER_GROUP + s] = load_weights(load, column + (size_t)s * strip_bytes);
        }
        UNROLL for (int t = 0; t < tokens; t++) {
            const vf act = vf_set1(x[(size_t)t * x_stride + k]);
            UNROLL for (int s = 0; s < strips; s++)
                acc[s][t] = vf_fma(weights[s], act, acc[s][t]);
        }
    }
    store_sums(strips, tokens, out, ends, acc);
}

/* --- few tokens: straight from the packed codes --- */

/* first: from 0, not from what y holds. */
INLINE void float_direct(float_load load, int tokens, bool first, const nb_packed *w, size_t begin, size_t end,
                         const nb_acts *x, float *y, size_t y_stride)
{
    const tile_ends ends = {first, true, w->quantizer.format->needs_scale, w->tensor_scale};
    tile_spare spare;
    size_t group = begin;
#define DIRECT_PASS(GROUPS)                                                                                          \
    for (; group + (GROUPS) <= end; group += (GROUPS)) {                                                             \
        tile_out out = enter_tile(w, group, (GROUPS), tokens, first, y, y_stride, spare);                           \
        float_tile(load, true, (GROUPS), tokens, w->n_cols, w->codes + group * w->row_group_bytes,                  \
                   w->row_group_bytes, x->f32, x->f32_stride, &out, &ends);                                         \
        leave_tile(&out, tokens);                                                                                    \
    }
    DIRECT_PASS(DIRECT_GROUPS(tokens))
    DIRECT_PASS(1)
#undef DIRECT_PASS
}

/* --- many tokens: over a panel of f32 --- */

enum {
    PANEL_GROUPS = 32,
    PANEL_COLUMNS = 256,
    GROUP_FLOATS = PANEL_COLUMNS * NB_ROWS,
    X_STRIDE = PANEL_COLUMNS + 16, /* no power of two: the rows of a tile must not meet in the cache */
};

/* Writes columns [k, k + n) of a row group as f32: panel[n][16]. */
typedef void fill_panel_fn(const nb_packed *w, size_t group, size_t k, size_t n, float *panel);

typedef void float_panel_fn(size_t n, const float *panel, const float *x, const tile_out *out, const tile_ends *ends);

typedef struct {
    int tokens, groups;
    float_panel_fn *run, *run_one; /* over `groups` row groups; over one */
} float_panel_tile;

#define FLOAT_PANEL(NAME, GROUPS, TOKENS)                                                                            \
    static void NAME(size_t n, const float *panel, const float *x, const tile_out *out, const tile_ends *ends)       \
    {                                                                                                                \
        float_tile(LOAD_F32, false, GROUPS, TOKENS, n, (const uint8_t *)panel, GROUP_FLOATS * sizeof *panel, x,      \
                   X_STRIDE, out, ends);                                                                             \
    }
#define FLOAT_PANEL_PAIR(GROUPS, TOKENS)                                                                             \
    FLOAT_PANEL(float_panel_##TOKENS, GROUPS, TOKENS)                                                                \
    FLOAT_PANEL(float_panel_one_##TOKENS, 1, TOKENS)
#define FLOAT_PANEL_ROW(GROUPS, TOKENS) {TOKENS, GROUPS, float_panel_##TOKENS, float_panel_one_##TOKENS},

FLOAT_PANEL_TILES(FLOAT_PANEL_PAIR)
static const float_panel_tile float_panel_tiles[] = {FLOAT_PANEL_TILES(FLOAT_PANEL_ROW)};

typedef struct {
    const nb_packed *w;
    const nb_acts *x;
    float *y;
    size_t y_stride;
    const float *panel; /* [n_groups][PANEL_COLUMNS][16], the first for row group `group` */
    size_t group, n_groups;
    size_t k, n; /* the columns */
    tile_ends ends;
    nb_fetch next; /* panel */
} float_pass;

/* Tokens [token, token + tile->tokens) over all row groups of the panel. */
static void float_panel_tokens(float_pass *p, const float_panel_tile *tile, size_t token)
{
    _Alignas(64) float x[MAX_TOKENS * X_STRIDE];
    tile_spare spare;
    const float *from = p->x->f32 + token * p->x->f32_stride + p->k;
    for (int t = 0; t < tile->tokens; t++)
        memcpy(x + t * X_STRIDE, from + (size_t)t * p->x->f32_stride, p->n * sizeof *x);
    for (size_t g = 0, step; g < p->n_groups; g += step) {
        bool whole = p->n_groups - g >= (size_t)tile->groups;
        step = whole ? (size_t)tile->groups : 1;
        tile_out out = enter_tile(p->w, p->group + g, (int)step, tile->tokens, p->ends.first,
                                  p->y + token * p->y_stride, p->y_stride, spare);
        (whole ? tile->run : tile->run_one)(p->n, p->panel + g * GROUP_FLOATS, x, &out, &p->ends);
        leave_tile(&out, tile->tokens);
        nb_fetch_some(&p->next);
    }
}

static void float_panel_pass(float_pass *p)
{
    const float_panel_tile *tile = float_panel_tiles;
    for (size_t token = 0; token < p->x->n_tokens; token += (size_t)tile->tokens) {
        while ((size_t)tile->tokens > p->x->n_tokens - token)
            tile++;
        float_panel_tokens(p, tile, token);
    }
}

/* The codes of the panel after this one, if there is one, while this one's tiles are multiplied. */
static nb_fetch float_fetch_next(const float_pass *p, size_t end)
{
    const nb_packed *w = p->w;
    const size_t column_bytes = NB_ROWS * w->quantizer.format->bits / 8;
    const bool below = p->k + p->n == w->n_cols; /* or beside it */
    const size_t group = below ? p->group + p->n_groups : p->group, k = below ? 0 : p->k + p->n;
    const size_t n = nb_min_size(w->n_cols - k, PANEL_COLUMNS);
    return nb_fetch_plan(w, group, nb_min_size(end - group, PANEL_GROUPS), k * column_bytes, n * column_bytes,
                         nb_div_up(p->x->n_tokens, (size_t)float_panel_tiles[0].tokens) *
                             nb_div_up(p->n_groups, (size_t)float_panel_tiles[0].groups));
}

/* All tokens over [begin, end), panel by panel. f32 is copied into one too: its row groups lie apart by what may
 * be a power of two, and would meet in a few sets of the cache. */
static void float_by_panels(fill_panel_fn *fill, bool first, const nb_packed *w, size_t begin, size_t end,
                            const nb_acts *x, float *y, size_t y_stride)
{
    _Alignas(64) float panel[PANEL_GROUPS * GROUP_FLOATS];
    float_pass p = {.w = w, .x = x, .y = y, .y_stride = y_stride, .panel = panel};
    p.ends.scale = w->tensor_scale;
    p.ends.scaled = w->quantizer.format->needs_scale;
    for (p.group = begin; p.group < end; p.group += p.n_groups) {
        p.n_groups = nb_min_size(end - p.group, PANEL_GROUPS);
        for (p.k = 0; p.k < w->n_cols; p.k += p.n) {
            p.n = nb_min_size(w->n_cols - p.k, PANEL_COLUMNS);
            p.ends.first = first && p.k == 0;
            p.ends.last = p.k + p.n == w->n_cols;
            for (size_t g = 0; g < p.n_groups; g++)
                fill(w, p.group + g, p.k, p.n, panel + g * GROUP_FLOATS);
            p.next = float_fetch_next(&p, end);
            float_panel_pass(&p);
        }
    }
}

/* --- one matmul a format --- */

#define FLOAT_FILL(NAME, LOAD)                                                                                       \
    static void NAME(const nb_packed *w, size_t group, size_t k, size_t n, float *panel)                      \
    {                                                                                                                \
        const size_t strip_bytes = LANES * load_bytes(LOAD);                                                         \
        const uint8_t *codes = w->codes + group * w->row_group_bytes + k * STRIPS_PER_GROUP * strip_bytes;          \
        for (size_t s = 0; s < n * STRIPS_PER_GROUP; s++)                                                            \
            vf_store(panel + s * LANES, load_weights(LOAD, codes + s * strip_bytes));                                \
    }
#define FLOAT_MATMUL(NAME, LOAD, FILL)                                                                               \
    static void NAME##_from(bool first, const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y,    \
                            size_t y_stride)                                                                         \
    {                                                                                                                \
        switch (x->n_tokens) {                                                                                       \
        case 1: float_direct(LOAD, 1, first, w, begin, end, x, y, y_stride); break;                                  \
        case 2: float_direct(LOAD, 2, first, w, begin, end, x, y, y_stride); break;                                  \
        case 3: float_direct(LOAD, 3, first, w, begin, end, x, y, y_stride); break;                                  \
        case 4: float_direct(LOAD, 4, first, w, begin, end, x, y, y_stride); break;                                  \
        default: float_by_panels(FILL, first, w, begin, end, x, y, y_stride);                                        \
        }                                                                                                            \
    }                                                                                                                \
    static void matmul_##NAME(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y,              \
                              size_t y_stride)                                                                       \
    {                                                                                                                \
        NAME##_from(true, w, begin, end, x, y, y_stride);                                                            \
    }
FLOAT_FILL(fill_f32, LOAD_F32)
FLOAT_FILL(fill_f16, LOAD_F16)
FLOAT_FILL(fill_bf16, LOAD_BF16)
FLOAT_FILL(fill_e4m3, LOAD_E4M3)
FLOAT_FILL(fill_e5m2, LOAD_E5M2)
FLOAT_MATMUL(f32, LOAD_F32, fill_f32)
FLOAT_MATMUL(f16, LOAD_F16, fill_f16)
FLOAT_MATMUL(bf16, LOAD_BF16, fill_bf16)
FLOAT_MATMUL(f8_e4m3, LOAD_E4M3, fill_e4m3)
FLOAT_MATMUL(f8_e5m2, LOAD_E5M2, fill_e5m2)

/* The columns of LLM.int8() that stay f16, on top of what y holds. */
static void add_outliers(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y, size_t y_stride)
{
    const nb_acts outliers = {.n_tokens = x->n_tokens,
                              .n_cols = w->outliers->n_cols,
                              .f32 = x->outliers,
                              .f32_stride = x->outlier_stride};
    f16_from(false, w->outliers, begin, end, &outliers, y, y_stride);
}
