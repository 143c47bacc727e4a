/* Part of matmul_template.h: INT weights, with int8 activations (acc = fma(scale_w * scale_x, (float)sum, acc) a
 * block) and with f32 ones.
 *
 * A block's lines have a kind, known when compiled: 2..8, bit planes as packed.h lays them out; or, above 8, a
 * panel's: 8 lines of bytes. A level says which kinds its panels have:
 *   INT_PANEL_FAMILIES(X)     X(kind, own_zeros) for each
 *   PANEL_TILES(bits, absmax) the table int_panel_tiles_<kind>_<own_zeros> for codes of so many bits
 *   PANEL_ZERO(bits, absmax)  what such a panel's bytes count as 0, the same in all rows; or OWN_ZEROS: the
 *                             bytes are the codes, and each row subtracts its own zero point
 * and how to multiply:
 *   vi_dot(kind, sum, line, act)   adds four products to each lane (or a block_sums of its own)
 *   vi_zeros(kind, zeros)          LANES zero points, as its products count them
 *   vi_zero_term(zeros, minus_sum) zeros * minus_sum */

enum { LINE = 64, LINES = NB_BLOCK / 4, PANEL_BLOCKS = 32, GROUP_BYTES = PANEL_BLOCKS * LINES * LINE };

/* The activations of a tile: tokens `stride` blocks apart. */
typedef struct {
    const nb_act_block *blocks;
    size_t stride;
    const int16_t *wide;
    size_t wide_stride;
} int_acts;

/* LANES rows' bytes of line c (columns 4c to 4c+3), unpacked. */
INLINE vi load_codes(int kind, const uint8_t *block, int c, int strip)
{
    const uint8_t *at = block + strip * 4 * LANES;
    if (kind >= 8)
        return vi_load(at + c * LINE);
    vi code = vi_zero();
    int low = 0;
    UNROLL for (int width = 4; width > 0; width /= 2)
        if (kind & width) {
            const vi line = vi_load(at + c % width * LINE);
            const int shift = c / width * width - low;
            const uint8_t mask = (uint8_t)(((1 << width) - 1) << low);
            const vi part = vi_and_bytes(vi_shift_right(line, shift), mask);
            code = low == 0 ? part : vi_or(code, part);
            low += width;
            at += width * LINE;
        }
    return code;
}

/* The same, looked up if they are to be. */
INLINE vi load_line(int kind, const uint8_t *block, int c, int strip)
{
    if (kind < KIND_TABLES)
        return load_codes(kind, block, c, strip);
    return vi_lookup(nb_block_tables[kind == KIND_IQ4 ? NB_TABLE_IQ4 : NB_TABLE_E2M1], load_codes(4, block, c, strip));
}

/* Adds the products of a block's quads [first, first + n) to the sums. */
INLINE void block_sums(int kind, int first, int n, int groups, int tokens, const uint8_t *codes, size_t group_bytes,
                       const int_acts *a, vi sum[MAX_STRIPS][MAX_TOKENS]);
#ifndef HAS_BLOCK_SUMS
INLINE void block_sums(int kind, int first, int n, int groups, int tokens, const uint8_t *codes, size_t group_bytes,
                       const int_acts *a, vi sum[MAX_STRIPS][MAX_TOKENS])
{
    const int strips = groups * STRIPS_PER_GROUP;
    UNROLL for (int c = first; c < first + n; c++) {
        vi line[MAX_STRIPS];
        UNROLL for (int s = 0; s < strips; s++)
            line[s] = load_line(kind, codes + (size_t)(s / STRIPS_PER_GROUP) * group_bytes, c, s % STRIPS_PER_GROUP);
        UNROLL for (int t = 0; t < tokens; t++) {
            const vi act = vi_quad(a->blocks[(size_t)t * a->stride].q + 4 * c);
            UNROLL for (int s = 0; s < strips; s++)
                sum[s][t] = vi_dot(kind, sum[s][t], line[s], act);
        }
    }
}
#endif

/* Weights of a tile: everything starts at its first row group and block. */
typedef struct {
    const uint8_t *codes;
    size_t group_bytes;
    const void *scales; /* f16, or f32 if scales_f32: [groups][scale groups][16] */
    bool scales_f32;
    size_t scale_stride;
    const uint8_t *zeros;
    size_t zero_stride, zero_step; /* to the next row group; to the next scale group */
    size_t blocks_per_scale;
    size_t blocks_to_scale; /* blocks before the second scale group begins */
    bool direct;            /* from memory */
    size_t groups_ahead;    /* if so */
} int_weights;

INLINE void load_scales(int strips, const int_weights *w, size_t scale_group, vf *scale)
{
    UNROLL for (int s = 0; s < strips; s++) {
        const size_t i = (size_t)(s / STRIPS_PER_GROUP) * w->scale_stride + scale_group * NB_ROWS +
                         (size_t)(s % STRIPS_PER_GROUP) * LANES;
        scale[s] = w->scales_f32 ? vf_load((const float *)w->scales + i)
                                 : vf_load_f16((const uint8_t *)w->scales + 2 * i);
    }
}

INLINE void load_zeros(int kind, int strips, const int_weights *w, size_t scale_group, vi *zero)
{
    UNROLL for (int s = 0; s < strips; s++)
        zero[s] = vi_zeros(kind, w->zeros + (size_t)(s / STRIPS_PER_GROUP) * w->zero_stride +
                                     scale_group * w->zero_step + (s % STRIPS_PER_GROUP) * LANES);
}

/* A direct pass over row groups asks for those of the next pass, into the L2 cache: so memory is never waited
 * for where short rows begin, and the processor's own prefetching does not know yet what comes. Where the next
 * ones are too far off, it asks for what comes next in the same. Beyond the end of a matrix nothing happens. */
INLINE size_t groups_ahead(const nb_packed *w, int groups)
{
    return w->row_group_bytes * (size_t)groups <= FETCH_FAR ? (size_t)groups : 0;
}

/* The lines of n_bytes of each row group, `ahead` of these. */
INLINE void fetch_ahead(int groups, const uint8_t *from, size_t n_bytes, size_t group_bytes, size_t ahead)
{
    const size_t distance = ahead > 0 ? ahead * group_bytes : FETCH_NEAR;
    UNROLL for (int g = 0; g < groups; g++) {
        UNROLL for (size_t line = 0; line < n_bytes; line += LINE)
            __builtin_prefetch(from + (size_t)g * group_bytes + line + distance, 0, 2);
    }
}

INLINE void fetch_scales_ahead(int groups, const int_weights *w, size_t scale_group)
{
    const size_t size = w->scales_f32 ? sizeof(float) : sizeof(uint16_t);
    fetch_ahead(groups, (const uint8_t *)w->scales + scale_group * NB_ROWS * size, NB_ROWS * size,
                w->scale_stride * size, w->groups_ahead);
}

/* own_zeros: rows subtract theirs; else a's minus_sum holds the whole correction. */
INLINE void int_tile(int kind, bool own_zeros, int groups, int tokens, size_t n_blocks, const int_weights *w,
                     const int_acts *a, const tile_out *out, const tile_ends *ends)
{
    const size_t block_bytes = kind > 8 ? 8 * LINE : (size_t)kind * LINE;
    const int strips = groups * STRIPS_PER_GROUP;
    const uint8_t *codes = w->codes;
    int_acts at = *a;
    tile_sums acc;
    load_sums(strips, tokens, out, ends, acc);
    for (size_t b = 0, end = w->blocks_to_scale, group = 0; b < n_blocks; end += w->blocks_per_scale, group++) {
        vf scale[MAX_STRIPS];
        vi zero[MAX_STRIPS];
        load_scales(strips, w, group, scale);
        if (w->direct)
            fetch_scales_ahead(groups, w, group);
        if (own_zeros)
            load_zeros(kind, strips, w, group, zero);
        for (end = nb_min_size(end, n_blocks); b < end; b++) {
            vi sum[MAX_STRIPS][MAX_TOKENS];
            UNROLL for (int t = 0; t < tokens; t++) {
                const int32_t minus_sum = at.blocks[(size_t)t * at.stride].minus_sum;
                UNROLL for (int s = 0; s < strips; s++)
                    sum[s][t] = own_zeros ? vi_zero_term(zero[s], minus_sum) : vi_set1(minus_sum);
            }
            if (w->direct)
                fetch_ahead(groups, codes, block_bytes, w->group_bytes, w->groups_ahead);
            block_sums(kind, 0, LINES, groups, tokens, codes, w->group_bytes, &at, sum);
            UNROLL for (int t = 0; t < tokens; t++) {
                const vf act_scale = vf_set1(at.blocks[(size_t)t * at.stride].scale);
                UNROLL for (int s = 0; s < strips; s++)
                    acc[s][t] = vf_fma(vf_mul(scale[s], act_scale), vf_from_vi(sum[s][t]), acc[s][t]);
            }
            codes += block_bytes;
            at.blocks++;
            if (USES_WIDE)
                at.wide += NB_BLOCK;
        }
    }
    store_sums(strips, tokens, out, ends, acc);
}

static int_weights int_weights_at(const nb_packed *w, size_t group, size_t block)
{
    const size_t scale_group = block / w->blocks_per_scale;
    const size_t scale = group * w->scale_stride + scale_group * NB_ROWS;
    const bool absmax = w->quantizer.scheme != NB_SCHEME_ZEROPOINT;
    int_weights at = {
        .codes = w->codes + group * w->row_group_bytes + block * LINE * w->quantizer.format->bits,
        .group_bytes = w->row_group_bytes,
        .scales = (const uint8_t *)w->scales + scale * (w->quantizer.scales_f32 ? sizeof(float) : sizeof(uint16_t)),
        .scales_f32 = w->quantizer.scales_f32,
        .scale_stride = w->scale_stride,
        .zeros = w->zeros + (absmax ? 0 : group * w->zero_stride + scale_group * NB_ROWS),
        .zero_stride = absmax ? 0 : w->zero_stride,
        .zero_step = absmax ? 0 : NB_ROWS,
        .blocks_per_scale = w->blocks_per_scale,
        .blocks_to_scale = (scale_group + 1) * w->blocks_per_scale - block,
    };
    return at;
}

/* --- few tokens: straight from the packed codes --- */

INLINE void int_direct(int bits, int tokens, const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y,
                       size_t y_stride)
{
    const tile_ends ends = {.first = true, .last = true};
    const int_acts a = {x->blocks, x->n_blocks, x->wide, x->n_blocks * NB_BLOCK};
    tile_spare spare;
    size_t group = begin;
#define DIRECT_PASS(GROUPS)                                                                                          \
    for (; group + (GROUPS) <= end; group += (GROUPS)) {                                                             \
        int_weights at = int_weights_at(w, group, 0);                                                                \
        at.direct = true;                                                                                            \
        at.groups_ahead = groups_ahead(w, (GROUPS));                                                                 \
        tile_out out = enter_tile(w, group, (GROUPS), tokens, true, y, y_stride, spare);                             \
        int_tile(bits, true, (GROUPS), tokens, w->n_blocks, &at, &a, &out, &ends);                                   \
        leave_tile(&out, tokens);                                                                                    \
    }
    DIRECT_PASS(INT_DIRECT_GROUPS(tokens))
    DIRECT_PASS(1)
#undef DIRECT_PASS
}

/* --- many tokens: over a panel of bytes --- */

typedef void int_panel_fn(size_t n_blocks, const int_weights *w, const int_acts *a, const tile_out *out,
                          const tile_ends *ends);

typedef struct {
    int tokens, groups;
    int_panel_fn *run, *run_one;
} int_panel_tile;

#define INT_PANEL(NAME, KIND, OWN_ZEROS, GROUPS, TOKENS)                                                             \
    static void NAME(size_t n_blocks, const int_weights *w, const int_acts *a, const tile_out *out,                  \
                     const tile_ends *ends)                                                                          \
    {                                                                                                                \
        int_weights panel = *w;                                                                                      \
        int_acts acts = *a;                                                                                          \
        panel.group_bytes = GROUP_BYTES; /* as they are; but now the compiler knows */                               \
        acts.stride = PANEL_BLOCKS;                                                                                  \
        panel.direct = false;                                                                                        \
        ask_for_next_sums(GROUPS *STRIPS_PER_GROUP, TOKENS, out);                                                    \
        int_tile(KIND, OWN_ZEROS, GROUPS, TOKENS, n_blocks, &panel, &acts, out, ends);                               \
    }
#define INT_PANEL_PAIR(KIND, OWN_ZEROS, GROUPS, TOKENS)                                                              \
    INT_PANEL(int_panel_##KIND##_##OWN_ZEROS##_##TOKENS, KIND, OWN_ZEROS, GROUPS, TOKENS)                            \
    INT_PANEL(int_panel_one_##KIND##_##OWN_ZEROS##_##TOKENS, KIND, OWN_ZEROS, 1, TOKENS)
#define INT_PANEL_ROW(KIND, OWN_ZEROS, GROUPS, TOKENS)                                                               \
    {TOKENS, GROUPS, int_panel_##KIND##_##OWN_ZEROS##_##TOKENS, int_panel_one_##KIND##_##OWN_ZEROS##_##TOKENS},
/* The tiles of one kind, most tokens first. */
#define INT_PANEL_FAMILY(KIND, OWN_ZEROS)                                                                            \
    INT_PANEL_TILES(INT_PANEL_PAIR, KIND, OWN_ZEROS)                                                                 \
    static const int_panel_tile int_panel_tiles_##KIND##_##OWN_ZEROS[] = {                                           \
        INT_PANEL_TILES(INT_PANEL_ROW, KIND, OWN_ZEROS)};
INT_PANEL_FAMILIES(INT_PANEL_FAMILY)

typedef struct {
    const nb_packed *w;
    const nb_acts *x;
    float *y;
    size_t y_stride;
    int_weights at; /* the panel's first row group */
    int zero;       /* what takes the zero point out: minus_sum times this, or OWN_ZEROS */
    size_t group, n_groups;
    size_t block, n_blocks;
    tile_ends ends;
    nb_fetch next; /* panel */
} int_pass;

/* Tokens [token, token + tile->tokens) over all row groups of the panel. */
static void int_panel_tokens(int_pass *p, const int_panel_tile *tile, size_t token)
{
    nb_act_block blocks[MAX_TOKENS * PANEL_BLOCKS];
    int_acts a = {blocks, PANEL_BLOCKS, NULL, p->x->n_blocks * NB_BLOCK};
    tile_spare spare;
    if (p->x->wide != NULL)
        a.wide = p->x->wide + (token * p->x->n_blocks + p->block) * NB_BLOCK;
    const nb_act_block *from = p->x->blocks + token * p->x->n_blocks + p->block;
    for (int t = 0; t < tile->tokens; t++, from += p->x->n_blocks) {
        nb_act_block *to = blocks + t * PANEL_BLOCKS;
        memcpy(to, from, p->n_blocks * sizeof *to);
        for (size_t b = 0; p->zero != OWN_ZEROS && b < p->n_blocks; b++)
            to[b].minus_sum *= p->zero;
    }
    for (size_t g = 0, step; g < p->n_groups; g += step) {
        bool whole = p->n_groups - g >= (size_t)tile->groups;
        step = whole ? (size_t)tile->groups : 1;
        int_weights at = p->at;
        at.codes += g * at.group_bytes;
        at.scales = (const uint8_t *)at.scales + g * at.scale_stride * (at.scales_f32 ? 4 : 2);
        at.zeros += g * at.zero_stride;
        tile_out out = enter_tile(p->w, p->group + g, (int)step, tile->tokens, p->ends.first,
                                  p->y + token * p->y_stride, p->y_stride, spare);
        (whole ? tile->run : tile->run_one)(p->n_blocks, &at, &a, &out, &p->ends);
        leave_tile(&out, tile->tokens);
        nb_fetch_some(&p->next);
    }
}

static void int_panel_pass(int_pass *p, const int_panel_tile *tile)
{
    for (size_t token = 0; token < p->x->n_tokens; token += (size_t)tile->tokens) {
        while ((size_t)tile->tokens > p->x->n_tokens - token)
            tile++;
        int_panel_tokens(p, tile, token);
    }
}

/* A row group's blocks as bytes: the codes, or what they are above their zero point, plus `zero`. */
INLINE void fill_bytes(int bits, int zero, const int_weights *from, size_t n_blocks, uint8_t *panel)
{
    size_t b = 0;
    for (size_t end = from->blocks_to_scale, group = 0; b < n_blocks; end += from->blocks_per_scale, group++) {
        vi shift[STRIPS_PER_GROUP];
        UNROLL for (int s = 0; s < STRIPS_PER_GROUP; s++)
            shift[s] = vi_splat_low_byte(
                vi_sub(vi_set1(zero), vi_load_u8(from->zeros + group * from->zero_step + s * LANES)));
        for (end = nb_min_size(end, n_blocks); b < end; b++) {
            UNROLL for (int c = 0; c < LINES; c++) {
                UNROLL for (int s = 0; s < STRIPS_PER_GROUP; s++) {
                    vi line = load_line(bits, from->codes + b * LINE * (size_t)bits, c, s);
                    vi_store(panel + (b * LINES + (size_t)c) * LINE + s * 4 * LANES,
                             zero == OWN_ZEROS ? line : vi_add_bytes(line, shift[s]));
                }
            }
        }
    }
}

/* The codes of the panel after this one, if there is one, while this one's tiles are multiplied. */
static nb_fetch int_fetch_next(const int_pass *p, size_t end, const int_panel_tile *tiles)
{
    const nb_packed *w = p->w;
    const size_t block_bytes = LINE * w->quantizer.format->bits;
    const bool below = p->block + p->n_blocks == w->n_blocks; /* or beside it */
    const size_t group = below ? p->group + p->n_groups : p->group, block = below ? 0 : p->block + p->n_blocks;
    return nb_fetch_plan(w, group, nb_min_size(end - group, PANEL_GROUPS), block * block_bytes,
                         nb_min_size(w->n_blocks - block, PANEL_BLOCKS) * block_bytes,
                         nb_div_up(p->x->n_tokens, (size_t)tiles->tokens) *
                             nb_div_up(p->n_groups, (size_t)tiles->groups));
}

/* All tokens over [begin, end), panel by panel. */
INLINE void int_by_panels(int bits, const int_panel_tile *tiles, int zero, const nb_packed *w, size_t begin,
                          size_t end, const nb_acts *x, float *y, size_t y_stride)
{
    _Alignas(64) uint8_t panel[PANEL_GROUPS * GROUP_BYTES];
    int_pass p = {.w = w, .x = x, .y = y, .y_stride = y_stride, .zero = zero};
    for (p.group = begin; p.group < end; p.group += p.n_groups) {
        p.n_groups = nb_min_size(end - p.group, PANEL_GROUPS);
        for (p.block = 0; p.block < w->n_blocks; p.block += p.n_blocks) {
            p.n_blocks = nb_min_size(w->n_blocks - p.block, PANEL_BLOCKS);
            p.ends.first = p.block == 0;
            p.ends.last = p.block + p.n_blocks == w->n_blocks;
            p.at = int_weights_at(w, p.group, p.block);
            p.at.codes = panel;
            p.at.group_bytes = GROUP_BYTES;
            for (size_t g = 0; g < p.n_groups; g++) {
                const int_weights from = int_weights_at(w, p.group + g, p.block);
                if (bits == 8)
                    memcpy(panel + g * GROUP_BYTES, from.codes, p.n_blocks * LINES * LINE);
                else
                    fill_bytes(bits, zero, &from, p.n_blocks, panel + g * GROUP_BYTES);
            }
            p.next = int_fetch_next(&p, end, tiles);
            int_panel_pass(&p, tiles);
        }
    }
}

/* --- f32 activations: a panel of w = scale * (u - z) --- */

INLINE void fill_decoded(int bits, const nb_packed *w, size_t group, size_t k, size_t n, float *panel)
{
    for (size_t b = k / NB_BLOCK; b * NB_BLOCK < k + n; b++) {
        const int_weights from = int_weights_at(w, group, b);
        vf scale[STRIPS_PER_GROUP];
        vi zero[STRIPS_PER_GROUP];
        load_scales(STRIPS_PER_GROUP, &from, 0, scale);
        UNROLL for (int s = 0; s < STRIPS_PER_GROUP; s++)
            zero[s] = vi_load_u8(from.zeros + s * LANES);
        UNROLL for (int c = 0; c < LINES; c++) {
            UNROLL for (int s = 0; s < STRIPS_PER_GROUP; s++) {
                const vi line = load_line(bits, from.codes, c, s);
                UNROLL for (int j = 0; j < 4; j++)
                    vf_store(panel + (b * NB_BLOCK - k + 4 * (size_t)c + (size_t)j) * NB_ROWS + s * LANES,
                             vf_mul(scale[s], vf_from_vi(vi_sub(vi_byte_of(line, j), zero[s]))));
            }
        }
    }
}

/* --- one matmul a width --- */

#define INT_MATMUL(BITS)                                                                                             \
    static void matmul_int##BITS(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y,           \
                                 size_t y_stride)                                                                    \
    {                                                                                                                \
        const bool absmax = w->quantizer.scheme != NB_SCHEME_ZEROPOINT;                                              \
        switch (x->n_tokens) {                                                                                       \
        case 1: int_direct(BITS, 1, w, begin, end, x, y, y_stride); break;                                           \
        case 2: int_direct(BITS, 2, w, begin, end, x, y, y_stride); break;                                           \
        case 3: int_direct(BITS, 3, w, begin, end, x, y, y_stride); break;                                           \
        case 4: int_direct(BITS, 4, w, begin, end, x, y, y_stride); break;                                           \
        default:                                                                                                     \
            int_by_panels(BITS, PANEL_TILES(BITS, absmax), PANEL_ZERO(BITS, absmax), w, begin, end, x, y, y_stride); \
        }                                                                                                            \
        if (w->outliers != NULL)                                                                                     \
            add_outliers(w, begin, end, x, y, y_stride);                                                             \
    }                                                                                                                \
    static void fill_int##BITS(const nb_packed *w, size_t group, size_t k, size_t n, float *panel)                   \
    {                                                                                                                \
        fill_decoded(BITS, w, group, k, n, panel);                                                                   \
    }                                                                                                                \
    static void matmul_int##BITS##_f32(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y,     \
                                       size_t y_stride)                                                              \
    {                                                                                                                \
        float_by_panels(fill_int##BITS, true, w, begin, end, x, y, y_stride);                                        \
    }
INT_MATMUL(2)
INT_MATMUL(3)
INT_MATMUL(4)
INT_MATMUL(5)
INT_MATMUL(6)
INT_MATMUL(7)
INT_MATMUL(8)
