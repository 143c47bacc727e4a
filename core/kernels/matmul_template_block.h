/* Part of matmul_template.h: BLOCK weights, with int8 activations (a block or half of one: acc = fma(scale_w * scale_x,
 * (float)sum, acc), then, with a minimum, acc = fma(min_w, scale_x * (float)sum of q, acc)) and with f32 ones.
 *
 * q4_0, q5_0 and q8_0 are INT. For the others a level also says
 *   BLOCK_PANEL_FAMILIES(X)  X(kind, sub, has_min) for each kind of panel; V4, V5, V6, V8: the kind for values of so
 *                            many bits
 *   BLOCK_PANEL_ZERO(zero)   what a panel's bytes count as 0
 *   DIRECT_ZERO(kind, zero)  what its products count as 0 in a line as it is loaded */

/* A format, or a panel, as the compiler knows it. */
typedef struct {
    int kind;       /* of lines */
    int sub;        /* columns to a sub-block: 32 or 16 */
    bool has_min;
    int zero;
    int scales;     /* nb_block_scales or SCALES_PANEL */
    int per_record; /* blocks of 32 columns that a record of scales is for */
} block_traits;

/* A panel's record: for each sub-block 16 scale_w and, with a minimum, 16 min_w. */
enum { SCALES_PANEL = 100, MAX_RECORD_FLOATS = 4 * NB_ROWS, GROUP_RECORDS = PANEL_BLOCKS * MAX_RECORD_FLOATS };

INLINE size_t record_bytes(const block_traits k)
{
    const size_t subs = (size_t)(k.per_record * NB_BLOCK / k.sub), f16 = NB_ROWS * sizeof(uint16_t);
    switch (k.scales) {
    case NB_SCALES_F16: return f16;
    case NB_SCALES_F16_MIN: return 2 * f16;
    case NB_SCALES_I8: return f16 + subs * NB_ROWS;
    case NB_SCALES_U8_MIN: return 2 * f16 + subs * 2 * NB_ROWS;
    case NB_SCALES_NIBBLES_MIN: return 2 * f16 + subs * NB_ROWS;
    case SCALES_PANEL: return subs * (k.has_min ? 2 : 1) * NB_ROWS * sizeof(float);
    default: return subs * NB_ROWS;
    }
}

INLINE size_t line_bytes_of_block(int kind)
{
    return (size_t)(kind >= KIND_TABLES ? 4 : kind > 8 ? 8 : kind) * LINE;
}

/* Weights of a tile: everything starts at its first row group and block. */
typedef struct {
    const uint8_t *codes, *records;
    size_t group_bytes, record_stride; /* to the next row group */
    bool direct;                       /* as in int_weights */
    size_t groups_ahead;
} block_weights;

/* What belongs to the whole record: d, and dmin (negative) or m. */
INLINE void load_record(const block_traits k, int strips, const block_weights *w, const uint8_t *record, vf *d, vf *dmin)
{
    UNROLL for (int s = 0; s < strips; s++) {
        const uint8_t *at = record + (size_t)(s / STRIPS_PER_GROUP) * w->record_stride +
                            (size_t)(s % STRIPS_PER_GROUP) * LANES * sizeof(uint16_t);
        if (k.scales <= NB_SCALES_NIBBLES_MIN)
            d[s] = vf_load_f16(at);
        if (k.scales == NB_SCALES_F16_MIN)
            dmin[s] = vf_load_f16(at + NB_ROWS * sizeof(uint16_t));
        if (k.scales == NB_SCALES_U8_MIN || k.scales == NB_SCALES_NIBBLES_MIN)
            dmin[s] = vf_mul(vf_set1(-1.0f), vf_load_f16(at + NB_ROWS * sizeof(uint16_t)));
    }
}

/* scale_w and min_w of the record's sub-block i. */
INLINE void load_sub(const block_traits k, int strips, const block_weights *w, const uint8_t *record, int i, const vf *d,
                     const vf *dmin, vf *scale, vf *min)
{
    const size_t f16 = NB_ROWS * sizeof(uint16_t);
    UNROLL for (int s = 0; s < strips; s++) {
        const size_t lane = (size_t)(s % STRIPS_PER_GROUP) * LANES;
        const uint8_t *at = record + (size_t)(s / STRIPS_PER_GROUP) * w->record_stride;
        switch (k.scales) {
        case NB_SCALES_F16: scale[s] = d[s]; break;
        case NB_SCALES_F16_MIN:
            scale[s] = d[s];
            min[s] = dmin[s];
            break;
        case NB_SCALES_I8:
            scale[s] = vf_mul(d[s], vf_from_vi(vi_load_i8(at + f16 + (size_t)i * NB_ROWS + lane)));
            break;
        case NB_SCALES_U8_MIN:
            at += 2 * f16 + (size_t)i * 2 * NB_ROWS + lane;
            scale[s] = vf_mul(d[s], vf_from_vi(vi_load_u8(at)));
            min[s] = vf_mul(dmin[s], vf_from_vi(vi_load_u8(at + NB_ROWS)));
            break;
        case NB_SCALES_NIBBLES_MIN: {
            const vi both = vi_load_u8(at + 2 * f16 + (size_t)i * NB_ROWS + lane);
            scale[s] = vf_mul(d[s], vf_from_vi(vi_and_bytes(both, 15)));
            min[s] = vf_mul(dmin[s], vf_from_vi(vi_shift_right(both, 4)));
            break;
        }
        case NB_SCALES_E8M0: scale[s] = vf_load_half_e8m0(at + (size_t)i * NB_ROWS + lane); break;
        case NB_SCALES_UE4M3: scale[s] = vf_load_half_ue4m3(at + (size_t)i * NB_ROWS + lane); break;
        default: {
            const float *panel = (const float *)(const void *)at + (size_t)i * (k.has_min ? 2 : 1) * NB_ROWS + lane;
            scale[s] = vf_load(panel);
            if (k.has_min)
                min[s] = vf_load(panel + NB_ROWS);
        }
        }
    }
}

/* What a panel's tile knows of a token's half block (whole block, for sub-blocks of 32) before it multiplies. */
typedef union {
    int32_t zero; /* -zero * sum of q */
    float min;    /* scale_x * (float)sum of q */
} block_term;

INLINE int32_t minus_sum_of(const nb_act_block *block, int sub, int half)
{
    return sub == NB_BLOCK ? block->minus_sum
           : half == 0     ? block->minus_first
                           : block->minus_sum - block->minus_first;
}

/* terms: a panel's, [tokens][PANEL_BLOCKS][2]. */
INLINE void block_tile(const block_traits k, int groups, int tokens, size_t n_blocks, const block_weights *w,
                       const int_acts *a, const block_term *terms, const tile_out *out, const tile_ends *ends)
{
    const int strips = groups * STRIPS_PER_GROUP, halves = NB_BLOCK / k.sub, zero = DIRECT_ZERO(k.kind, k.zero);
    const uint8_t *codes = w->codes, *record = w->records;
    int_acts at = *a;
    tile_sums acc;
    load_sums(strips, tokens, out, ends, acc);
    for (size_t b = 0; b < n_blocks; record += record_bytes(k)) {
        vf d[MAX_STRIPS], dmin[MAX_STRIPS];
        load_record(k, strips, w, record, d, dmin);
        if (w->direct)
            fetch_ahead(groups, record, record_bytes(k), w->record_stride, w->groups_ahead);
        for (int i = 0; i < k.per_record; i++, b++) {
            if (w->direct)
                fetch_ahead(groups, codes, line_bytes_of_block(k.kind), w->group_bytes, w->groups_ahead);
            UNROLL for (int h = 0; h < halves; h++) {
                vf scale[MAX_STRIPS], min[MAX_STRIPS];
                vi sum[MAX_STRIPS][MAX_TOKENS];
                load_sub(k, strips, w, record, i * halves + h, d, dmin, scale, min);
                UNROLL for (int t = 0; t < tokens; t++) {
                    vi start = vi_zero();
                    if (!k.has_min && k.scales == SCALES_PANEL)
                        start = vi_set1(terms[(t * PANEL_BLOCKS) * 2 + h].zero);
                    else if (!k.has_min)
                        start = vi_zero_term(vi_set1(zero),
                                             minus_sum_of(&at.blocks[(size_t)t * at.stride], k.sub, h));
                    UNROLL for (int s = 0; s < strips; s++)
                        sum[s][t] = start;
                }
                block_sums(k.kind, h * k.sub / 4, k.sub / 4, groups, tokens, codes, w->group_bytes, &at, sum);
                UNROLL for (int t = 0; t < tokens; t++) {
                    const nb_act_block *block = &at.blocks[(size_t)t * at.stride];
                    const vf act_scale = vf_set1(block->scale);
                    vf term = vf_zero();
                    if (k.has_min)
                        term = k.scales == SCALES_PANEL
                                   ? vf_set1(terms[(t * PANEL_BLOCKS) * 2 + h].min)
                                   : vf_mul(act_scale, vf_from_vi(vi_set1(-minus_sum_of(block, k.sub, h))));
                    UNROLL for (int s = 0; s < strips; s++) {
                        acc[s][t] = vf_fma(vf_mul(scale[s], act_scale), vf_from_vi(sum[s][t]), acc[s][t]);
                        if (k.has_min)
                            acc[s][t] = vf_fma(min[s], term, acc[s][t]);
                    }
                }
            }
            codes += line_bytes_of_block(k.kind);
            at.blocks++;
            terms += k.scales == SCALES_PANEL ? 2 : 0;
            if (USES_WIDE)
                at.wide += NB_BLOCK;
        }
    }
    store_sums(strips, tokens, out, ends, acc);
}

INLINE block_weights block_weights_at(const nb_packed *w, const block_traits k, size_t group, size_t block)
{
    const block_weights at = {
        .codes = w->codes + group * w->row_group_bytes + block * line_bytes_of_block(k.kind),
        .records = (const uint8_t *)w->scales + group * w->record_stride +
                   block / (size_t)k.per_record * record_bytes(k),
        .group_bytes = w->row_group_bytes,
        .record_stride = w->record_stride,
    };
    return at;
}

/* --- few tokens: straight from the packed codes --- */

INLINE void block_direct(const block_traits k, int tokens, const nb_packed *w, size_t begin, size_t end,
                         const nb_acts *x, float *y, size_t y_stride)
{
    const tile_ends ends = {.first = true, .last = true};
    const int_acts a = {x->blocks, x->n_blocks, x->wide, x->n_blocks * NB_BLOCK};
    tile_spare spare;
    size_t group = begin;
#define DIRECT_PASS(GROUPS)                                                                                          \
    for (; group + (GROUPS) <= end; group += (GROUPS)) {                                                             \
        block_weights at = block_weights_at(w, k, group, 0);                                                         \
        at.direct = true;                                                                                            \
        at.groups_ahead = groups_ahead(w, (GROUPS));                                                                 \
        tile_out out = enter_tile(w, group, (GROUPS), tokens, true, y, y_stride, spare);                             \
        block_tile(k, (GROUPS), tokens, w->n_blocks, &at, &a, NULL, &out, &ends);                                    \
        leave_tile(&out, tokens);                                                                                    \
    }
    DIRECT_PASS(INT_DIRECT_GROUPS(tokens))
    DIRECT_PASS(1)
#undef DIRECT_PASS
}

/* --- many tokens: over a panel of bytes and f32 scales --- */

typedef void block_panel_fn(size_t n_blocks, const block_weights *w, const int_acts *a, const block_term *terms,
                            const tile_out *out, const tile_ends *ends);

typedef struct {
    int tokens, groups;
    block_panel_fn *run, *run_one;
} block_panel_tile;

#define SUB_plain32 32
#define SUB_min32   32
#define SUB_plain16 16
#define SUB_min16   16
#define MIN_plain32 false
#define MIN_min32   true
#define MIN_plain16 false
#define MIN_min16   true

#define BLOCK_PANEL(NAME, KIND, FAMILY, GROUPS, TOKENS)                                                              \
    static void NAME(size_t n_blocks, const block_weights *w, const int_acts *a, const block_term *terms,            \
                     const tile_out *out, const tile_ends *ends)                                                     \
    {                                                                                                                \
        const block_traits k = {KIND, SUB_##FAMILY, MIN_##FAMILY, 0, SCALES_PANEL, 1};                               \
        const block_weights panel = {w->codes, w->records, GROUP_BYTES, GROUP_RECORDS * sizeof(float), false, 0};    \
        const int_acts acts = {a->blocks, PANEL_BLOCKS, a->wide, a->wide_stride};                                    \
        ask_for_next_sums(GROUPS *STRIPS_PER_GROUP, TOKENS, out);                                                    \
        block_tile(k, GROUPS, TOKENS, n_blocks, &panel, &acts, terms, out, ends);                                    \
    }
#define BLOCK_PANEL_PAIR(KIND, FAMILY, GROUPS, TOKENS)                                                               \
    BLOCK_PANEL(block_panel_##KIND##_##FAMILY##_##TOKENS, KIND, FAMILY, GROUPS, TOKENS)                              \
    BLOCK_PANEL(block_panel_one_##KIND##_##FAMILY##_##TOKENS, KIND, FAMILY, 1, TOKENS)
#define BLOCK_PANEL_ROW(KIND, FAMILY, GROUPS, TOKENS)                                                                \
    {TOKENS, GROUPS, block_panel_##KIND##_##FAMILY##_##TOKENS, block_panel_one_##KIND##_##FAMILY##_##TOKENS},
/* The tiles of one kind, most tokens first. */
#define BLOCK_PANEL_FAMILY(KIND, FAMILY)                                                                             \
    INT_PANEL_TILES(BLOCK_PANEL_PAIR, KIND, FAMILY)                                                                  \
    static const block_panel_tile block_panel_tiles_##KIND##_##FAMILY[] = {                                          \
        INT_PANEL_TILES(BLOCK_PANEL_ROW, KIND, FAMILY)};
BLOCK_PANEL_FAMILIES(BLOCK_PANEL_FAMILY)

typedef struct {
    const nb_packed *w;
    const nb_acts *x;
    float *y;
    size_t y_stride;
    block_weights at; /* the panel */
    size_t group, n_groups;
    size_t block, n_blocks;
    tile_ends ends;
    nb_fetch next; /* panel */
} block_pass;

INLINE void fill_terms(const block_traits k, const nb_act_block *blocks, size_t n_blocks, block_term *terms)
{
    for (size_t b = 0; b < n_blocks; b++)
        for (int h = 0; h < NB_BLOCK / k.sub; h++) {
            const int32_t minus_sum = minus_sum_of(&blocks[b], k.sub, h);
            if (k.has_min)
                terms[2 * b + (size_t)h].min = blocks[b].scale * (float)-minus_sum;
            else
                terms[2 * b + (size_t)h].zero = minus_sum * BLOCK_PANEL_ZERO(k.zero);
        }
}

/* Tokens [token, token + tile->tokens) over all row groups of the panel. */
INLINE void block_panel_tokens(const block_traits k, block_pass *p, const block_panel_tile *tile, size_t token)
{
    nb_act_block blocks[MAX_TOKENS * PANEL_BLOCKS];
    block_term terms[MAX_TOKENS * PANEL_BLOCKS * 2];
    int_acts a = {blocks, PANEL_BLOCKS, NULL, p->x->n_blocks * NB_BLOCK};
    tile_spare spare;
    if (p->x->wide != NULL)
        a.wide = p->x->wide + (token * p->x->n_blocks + p->block) * NB_BLOCK;
    const nb_act_block *from = p->x->blocks + token * p->x->n_blocks + p->block;
    for (int t = 0; t < tile->tokens; t++, from += p->x->n_blocks) {
        memcpy(blocks + t * PANEL_BLOCKS, from, p->n_blocks * sizeof *blocks);
        fill_terms(k, from, p->n_blocks, terms + t * PANEL_BLOCKS * 2);
    }
    for (size_t g = 0, step; g < p->n_groups; g += step) {
        bool whole = p->n_groups - g >= (size_t)tile->groups;
        step = whole ? (size_t)tile->groups : 1;
        const block_weights at = {.codes = p->at.codes + g * GROUP_BYTES,
                                  .records = p->at.records + g * GROUP_RECORDS * sizeof(float)};
        tile_out out = enter_tile(p->w, p->group + g, (int)step, tile->tokens, p->ends.first,
                                  p->y + token * p->y_stride, p->y_stride, spare);
        (whole ? tile->run : tile->run_one)(p->n_blocks, &at, &a, terms, &out, &p->ends);
        leave_tile(&out, tile->tokens);
        nb_fetch_some(&p->next);
    }
}

/* A row group's blocks as bytes: u, or u - zero where the level's panels count 0 as 0. */
INLINE void fill_block_lines(const block_traits k, const block_weights *from, size_t n_blocks, uint8_t *panel)
{
    const uint8_t *codes = from->codes;
    const vi shift = vi_splat_low_byte(vi_set1(BLOCK_PANEL_ZERO(k.zero) - k.zero));
    for (size_t b = 0; b < n_blocks; b++, codes += line_bytes_of_block(k.kind)) {
        UNROLL for (int c = 0; c < LINES; c++) {
            UNROLL for (int s = 0; s < STRIPS_PER_GROUP; s++) {
                const vi line = load_line(k.kind, codes, c, s);
                vi_store(panel + (b * LINES + (size_t)c) * LINE + s * 4 * LANES,
                         BLOCK_PANEL_ZERO(k.zero) == k.zero ? line : vi_add_bytes(line, shift));
            }
        }
    }
}

INLINE void fill_block_scales(const block_traits k, const block_weights *from, size_t n_blocks, float *panel)
{
    const uint8_t *record = from->records;
    for (size_t b = 0; b < n_blocks; b += (size_t)k.per_record, record += record_bytes(k)) {
        vf d[STRIPS_PER_GROUP], dmin[STRIPS_PER_GROUP];
        load_record(k, STRIPS_PER_GROUP, from, record, d, dmin);
        for (int i = 0; i < k.per_record * NB_BLOCK / k.sub; i++) {
            vf scale[STRIPS_PER_GROUP], min[STRIPS_PER_GROUP];
            load_sub(k, STRIPS_PER_GROUP, from, record, i, d, dmin, scale, min);
            UNROLL for (int s = 0; s < STRIPS_PER_GROUP; s++) {
                vf_store(panel + s * LANES, scale[s]);
                if (k.has_min)
                    vf_store(panel + NB_ROWS + s * LANES, min[s]);
            }
            panel += k.has_min ? 2 * NB_ROWS : NB_ROWS;
        }
    }
}

/* The codes of the panel after this one, if there is one, while this one's tiles are multiplied. */
INLINE nb_fetch block_fetch_next(const block_traits k, const block_pass *p, size_t end, const block_panel_tile *tiles)
{
    const nb_packed *w = p->w;
    const size_t block_bytes = line_bytes_of_block(k.kind);
    const bool below = p->block + p->n_blocks == w->n_blocks; /* or beside it */
    const size_t group = below ? p->group + p->n_groups : p->group, block = below ? 0 : p->block + p->n_blocks;
    return nb_fetch_plan(w, group, nb_min_size(end - group, PANEL_GROUPS), block * block_bytes,
                         nb_min_size(w->n_blocks - block, PANEL_BLOCKS) * block_bytes,
                         nb_div_up(p->x->n_tokens, (size_t)tiles->tokens) *
                             nb_div_up(p->n_groups, (size_t)tiles->groups));
}

/* All tokens over [begin, end), panel by panel. Panels begin where records do. */
INLINE void block_by_panels(const block_traits k, const block_panel_tile *tiles, const nb_packed *w, size_t begin,
                            size_t end, const nb_acts *x, float *y, size_t y_stride)
{
    _Alignas(64) uint8_t lines[PANEL_GROUPS * GROUP_BYTES];
    _Alignas(64) float scales[PANEL_GROUPS * GROUP_RECORDS];
    block_pass p = {.w = w, .x = x, .y = y, .y_stride = y_stride};
    p.at.codes = lines;
    p.at.records = (const uint8_t *)scales;
    for (p.group = begin; p.group < end; p.group += p.n_groups) {
        p.n_groups = nb_min_size(end - p.group, PANEL_GROUPS);
        for (p.block = 0; p.block < w->n_blocks; p.block += p.n_blocks) {
            p.n_blocks = nb_min_size(w->n_blocks - p.block, PANEL_BLOCKS);
            p.ends.first = p.block == 0;
            p.ends.last = p.block + p.n_blocks == w->n_blocks;
            for (size_t g = 0; g < p.n_groups; g++) {
                const block_weights from = block_weights_at(w, k, p.group + g, p.block);
                fill_block_lines(k, &from, p.n_blocks, lines + g * GROUP_BYTES);
                fill_block_scales(k, &from, p.n_blocks, scales + g * GROUP_RECORDS);
            }
            p.next = block_fetch_next(k, &p, end, tiles);
            const block_panel_tile *tile = tiles;
            for (size_t token = 0; token < x->n_tokens; token += (size_t)tile->tokens) {
                while ((size_t)tile->tokens > x->n_tokens - token)
                    tile++;
                block_panel_tokens(k, &p, tile, token);
            }
        }
    }
}

/* --- f32 activations: a panel of w --- */

INLINE void fill_block_decoded(const block_traits k, const nb_packed *w, size_t group, size_t column, size_t n,
                               float *panel)
{
    const int halves = NB_BLOCK / k.sub;
    const block_weights from = block_weights_at(w, k, group, column / NB_BLOCK);
    const uint8_t *codes = from.codes, *record = from.records;
    const vi zero = vi_set1(k.zero);
    for (size_t b = 0; b < n / NB_BLOCK; record += record_bytes(k)) {
        vf d[STRIPS_PER_GROUP], dmin[STRIPS_PER_GROUP];
        load_record(k, STRIPS_PER_GROUP, &from, record, d, dmin);
        for (int i = 0; i < k.per_record; i++, b++, codes += line_bytes_of_block(k.kind))
            for (int h = 0; h < halves; h++) {
                vf scale[STRIPS_PER_GROUP], min[STRIPS_PER_GROUP];
                load_sub(k, STRIPS_PER_GROUP, &from, record, i * halves + h, d, dmin, scale, min);
                for (int c = h * k.sub / 4; c < (h + 1) * k.sub / 4; c++, panel += 4 * NB_ROWS) {
                    UNROLL for (int s = 0; s < STRIPS_PER_GROUP; s++) {
                        const vi line = load_line(k.kind, codes, c, s);
                        UNROLL for (int j = 0; j < 4; j++) {
                            const vf value = vf_from_vi(vi_sub(vi_byte_of(line, j), zero));
                            /* the product is exact: fused or not, the sum is the same */
                            vf_store(panel + j * NB_ROWS + s * LANES,
                                     k.has_min ? vf_fma(scale[s], value, min[s]) : vf_mul(scale[s], value));
                        }
                    }
                }
            }
    }
}

/* --- one matmul a format --- */

/* X(name, id, kind of its lines, V: bits of its values, family, zero, scales, blocks to a record) */
#define BLOCK_FORMATS(X)                                                                                             \
    X(q4_1, NB_Q4_1, 4, V4, min32, 0, NB_SCALES_F16_MIN, 1)                                                          \
    X(q5_1, NB_Q5_1, 5, V5, min32, 0, NB_SCALES_F16_MIN, 1)                                                          \
    X(q2_k, NB_Q2_K, 2, V4, min16, 0, NB_SCALES_NIBBLES_MIN, 8)                                                      \
    X(q3_k, NB_Q3_K, 3, V6, plain16, 4, NB_SCALES_I8, 8)                                                             \
    X(q4_k, NB_Q4_K, 4, V4, min32, 0, NB_SCALES_U8_MIN, 8)                                                           \
    X(q5_k, NB_Q5_K, 5, V5, min32, 0, NB_SCALES_U8_MIN, 8)                                                           \
    X(q6_k, NB_Q6_K, 6, V6, plain16, 32, NB_SCALES_I8, 8)                                                            \
    X(iq4_nl, NB_IQ4_NL, KIND_IQ4, V8, plain32, 128, NB_SCALES_F16, 1)                                               \
    X(iq4_xs, NB_IQ4_XS, KIND_IQ4, V8, plain32, 128, NB_SCALES_I8, 8)                                                \
    X(tq2_0, NB_TQ2_0, 2, V5, plain32, 1, NB_SCALES_F16, 8)                                                          \
    X(mxfp4, NB_MXFP4, KIND_E2M1, V5, plain32, 12, NB_SCALES_E8M0, 1)                                                \
    X(nvfp4, NB_NVFP4, KIND_E2M1, V6, plain16, 12, NB_SCALES_UE4M3, 2)

#define PASTE_TILES(KIND, FAMILY)  block_panel_tiles_##KIND##_##FAMILY
#define BLOCK_TILES(KIND, FAMILY)  PASTE_TILES(KIND, FAMILY)
#define BLOCK_MATMUL(NAME, ID, KIND, VALUES, FAMILY, ZERO, SCALES, PER_RECORD)                                       \
    static const block_traits NAME##_traits = {KIND, SUB_##FAMILY, MIN_##FAMILY, ZERO, SCALES, PER_RECORD};          \
    static void matmul_##NAME(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y,              \
                              size_t y_stride)                                                                       \
    {                                                                                                                \
        switch (x->n_tokens) {                                                                                       \
        case 1: block_direct(NAME##_traits, 1, w, begin, end, x, y, y_stride); break;                                \
        case 2: block_direct(NAME##_traits, 2, w, begin, end, x, y, y_stride); break;                                \
        case 3: block_direct(NAME##_traits, 3, w, begin, end, x, y, y_stride); break;                                \
        case 4: block_direct(NAME##_traits, 4, w, begin, end, x, y, y_stride); break;                                \
        default: block_by_panels(NAME##_traits, BLOCK_TILES(VALUES, FAMILY), w, begin, end, x, y, y_stride);         \
        }                                                                                                            \
    }                                                                                                                \
    static void fill_##NAME(const nb_packed *w, size_t group, size_t k, size_t n, float *panel)                      \
    {                                                                                                                \
        fill_block_decoded(NAME##_traits, w, group, k, n, panel);                                                    \
    }                                                                                                                \
    static void matmul_##NAME##_f32(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y,        \
                                    size_t y_stride)                                                                 \
    {                                                                                                                \
        float_by_panels(fill_##NAME, true, w, begin, end, x, y, y_stride);                                                 \
    }
BLOCK_FORMATS(BLOCK_MATMUL)

static void fill_matmul_block(nb_kernels *k)
{
#define BLOCK_ENTRY(NAME, ID, ...)                                                                                   \
    k->matmul_block[ID] = matmul_##NAME;                                                                             \
    k->matmul_block_f32[ID] = matmul_##NAME##_f32;
    BLOCK_FORMATS(BLOCK_ENTRY)
    k->matmul_block[NB_TQ1_0] = matmul_tq2_0; /* packed alike */
    k->matmul_block_f32[NB_TQ1_0] = matmul_tq2_0_f32;
    static const struct {
        nb_block_id id;
        unsigned bits;
    } integers[] = {{NB_Q4_0, 4}, {NB_Q5_0, 5}, {NB_Q8_0, 8}};
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++) {
        k->matmul_block[integers[i].id] = k->matmul_int[integers[i].bits];
        k->matmul_block_f32[integers[i].id] = k->matmul_int_f32[integers[i].bits];
    }
}
