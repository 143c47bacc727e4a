/* Part of matmul_template.h: TABLE weights and f32 activations. acc = fma(level * scale, x, acc), columns forwards. */

enum { TABLE_BITS = 4, TABLE_BLOCK = 64 * TABLE_BITS };

/* How many row groups one pass over the codes walks at once: enough sums to hide an fma's latency. */
#define TABLE_DIRECT_GROUPS(TOKENS) ((TOKENS) <= 2 ? 4 / STRIPS_PER_GROUP > 1 ? 4 / STRIPS_PER_GROUP : 1 : 1)

/* The scales of a row group's scale group. */
INLINE void load_table_scales(const nb_packed *w, size_t group, size_t scale_group, vf *scale)
{
    const size_t at = group * w->scale_stride + scale_group * NB_ROWS;
    const float *scales = w->scales;
    _Alignas(64) float made[NB_ROWS];
    if (w->scale_codes != NULL) {
        /* a row beyond the last has no scale: any will do */
        const size_t last = nb_n_nested(w->n_rows * w->n_scales) - 1;
        for (size_t r = 0; r < NB_ROWS; r++) {
            const size_t i = ((group * NB_ROWS + r) * w->n_scales + scale_group) / NB_NESTED_GROUP;
            made[r] = nb_nested_scale(w->scale_codes[at + r], scales[i < last ? i : last], w->scale_offset);
        }
    }
    UNROLL for (int s = 0; s < STRIPS_PER_GROUP; s++)
        scale[s] = vf_load((w->scale_codes != NULL ? made : scales + at) + s * LANES);
}

/* Where quad c of a block is: its line, and its bits in the line's bytes. */
INLINE vi load_table_line(const uint8_t *block, int c, int strip)
{
    return vi_load(block + c % TABLE_BITS * LINE + strip * 4 * LANES);
}

/* Columns [0, n) of a block. */
INLINE void table_columns(int groups, int tokens, size_t n, const uint8_t *codes, size_t group_bytes, vf_table levels,
                          const vf *scale, const float *x, size_t x_stride, tile_sums acc)
{
    const int strips = groups * STRIPS_PER_GROUP;
    UNROLL for (int c = 0; c < LINES; c++) {
        vi line[MAX_STRIPS];
        if ((size_t)c * 4 >= n)
            break;
        UNROLL for (int s = 0; s < strips; s++)
            line[s] = load_table_line(codes + (size_t)(s / STRIPS_PER_GROUP) * group_bytes, c, s % STRIPS_PER_GROUP);
        UNROLL for (int j = 0; j < 4; j++) {
            if ((size_t)(4 * c + j) >= n)
                break;
            vf weights[MAX_STRIPS];
            UNROLL for (int s = 0; s < strips; s++)
                weights[s] = vf_mul(vf_table_at(levels, line[s], 8 * j + c / TABLE_BITS * TABLE_BITS), scale[s]);
            UNROLL for (int t = 0; t < tokens; t++) {
                const vf act = vf_set1(x[(size_t)t * x_stride + (size_t)(4 * c + j)]);
                UNROLL for (int s = 0; s < strips; s++)
                    acc[s][t] = vf_fma(weights[s], act, acc[s][t]);
            }
        }
    }
}

/* --- few tokens: straight from the packed codes --- */

INLINE void table_tile(int groups, int tokens, const nb_packed *w, size_t group, const nb_acts *x, const tile_out *out,
                       const tile_ends *ends)
{
    const int strips = groups * STRIPS_PER_GROUP;
    const vf_table levels = vf_table_load(w->quantizer.format->levels);
    const uint8_t *codes = w->codes + group * w->row_group_bytes;
    const size_t n_whole = w->n_cols / NB_BLOCK;
    tile_sums acc;
    vf scale[MAX_STRIPS];
    load_sums(strips, tokens, out, ends, acc);
    size_t b = 0;
    for (size_t scale_group = 0; b < w->n_blocks; scale_group++) {
        const size_t end = nb_min_size((scale_group + 1) * w->blocks_per_scale, w->n_blocks);
        for (int g = 0; g < groups; g++)
            load_table_scales(w, group + (size_t)g, scale_group, scale + g * STRIPS_PER_GROUP);
        for (; b < end && b < n_whole; b++) {
            for (int g = 0; g < groups; g++)
                __builtin_prefetch(codes + (size_t)g * w->row_group_bytes + b * TABLE_BLOCK + PREFETCH_BYTES, 0, 2);
            table_columns(groups, tokens, NB_BLOCK, codes + b * TABLE_BLOCK, w->row_group_bytes, levels, scale,
                          x->f32 + b * NB_BLOCK, x->f32_stride, acc);
        }
        if (b < end) {
            table_columns(groups, tokens, w->n_cols % NB_BLOCK, codes + b * TABLE_BLOCK, w->row_group_bytes, levels,
                          scale, x->f32 + b * NB_BLOCK, x->f32_stride, acc);
            break;
        }
    }
    store_sums(strips, tokens, out, ends, acc);
}

INLINE void table_direct(int tokens, const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y,
                         size_t y_stride)
{
    const tile_ends ends = {.first = true, .last = true};
    tile_spare spare;
    size_t group = begin;
#define TABLE_PASS(GROUPS)                                                                                           \
    for (; group + (GROUPS) <= end; group += (GROUPS)) {                                                             \
        tile_out out = enter_tile(w, group, (GROUPS), tokens, true, y, y_stride, spare);                            \
        table_tile((GROUPS), tokens, w, group, x, &out, &ends);                                                      \
        leave_tile(&out, tokens);                                                                                    \
    }
    TABLE_PASS(TABLE_DIRECT_GROUPS(tokens))
    TABLE_PASS(1)
#undef TABLE_PASS
}

/* --- many tokens: over a panel of w --- */

static void fill_table(const nb_packed *w, size_t group, size_t k, size_t n, float *panel)
{
    const vf_table levels = vf_table_load(w->quantizer.format->levels);
    const uint8_t *codes = w->codes + group * w->row_group_bytes;
    vf scale[STRIPS_PER_GROUP];
    load_table_scales(w, group, k / NB_BLOCK / w->blocks_per_scale, scale);
    for (size_t b = k / NB_BLOCK; b * NB_BLOCK < k + n; b++, panel += NB_BLOCK * NB_ROWS) {
        if (b % w->blocks_per_scale == 0)
            load_table_scales(w, group, b / w->blocks_per_scale, scale);
        UNROLL for (int c = 0; c < LINES; c++) {
            UNROLL for (int s = 0; s < STRIPS_PER_GROUP; s++) {
                const vi line = load_table_line(codes + b * TABLE_BLOCK, c, s);
                UNROLL for (int j = 0; j < 4; j++)
                    vf_store(panel + (4 * c + j) * NB_ROWS + s * LANES,
                             vf_mul(vf_table_at(levels, line, 8 * j + c / TABLE_BITS * TABLE_BITS), scale[s]));
            }
        }
    }
}

static void matmul_table(const nb_packed *w, size_t begin, size_t end, const nb_acts *x, float *y, size_t y_stride)
{
    switch (x->n_tokens) {
    case 1: table_direct(1, w, begin, end, x, y, y_stride); break;
    case 2: table_direct(2, w, begin, end, x, y, y_stride); break;
    case 3: table_direct(3, w, begin, end, x, y, y_stride); break;
    case 4: table_direct(4, w, begin, end, x, y, y_stride); break;
    default: float_by_panels(fill_table, true, w, begin, end, x, y, y_stride);
    }
}
