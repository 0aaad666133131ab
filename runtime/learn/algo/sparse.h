/* What one layer did with every token: sparse rows of root contributions s_j = sqrt(c_j), float16. The square
 * root halves the exponent range that c_j needs and is the clustering feature itself; only neurons with c_j >
 * tau are kept, columns ascending within a row. */
#ifndef PV_LEARN_ALGO_SPARSE_H
#define PV_LEARN_ALGO_SPARSE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pv_sparse {
    size_t n_rows;          /* tokens */
    uint32_t n_cols;        /* F <= 65536 */
    const uint64_t *offset; /* [n_rows + 1], offset[0] = 0 */
    const uint16_t *col;    /* [offset[n_rows]] */
    const uint16_t *root;   /* [offset[n_rows]] float16, finite, > 0 */
};

/* Some of its rows. */
struct pv_rows {
    const struct pv_sparse *x;
    const uint32_t *index; /* [n] rows of x; NULL: row i is i */
    size_t n;
};
static inline size_t pv_row_at(const struct pv_rows *rows, size_t i)
{
    return rows->index ? rows->index[i] : i;
}

/* float16 to float32 for finite values >= 0, small enough to vectorise: the exponent bias is made up by a
 * product. */
static inline float pv_root_to_float(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 13;
    float f;

    memcpy(&f, &bits, sizeof f);
    return f * 0x1p112f;
}

#endif
