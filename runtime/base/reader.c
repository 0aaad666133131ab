/* Every read goes through take(), the one place that moves the cursor. Values are assembled byte by byte, so
 * neither the host's byte order nor the address matters. */
#include "base/reader.h"

#include <string.h>

static const uint8_t *take(struct pv_reader *r, uint64_t n)
{
    const uint8_t *p;

    if (r->failed || n > r->size_bytes - r->pos) {
        r->failed = true;
        return NULL;
    }
    p = r->data + r->pos;
    r->pos += (size_t)n;
    return p;
}

static uint64_t read_uint(struct pv_reader *r, unsigned n_bytes)
{
    const uint8_t *p = take(r, n_bytes);
    uint64_t value = 0;

    for (unsigned i = 0; p && i < n_bytes; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

uint8_t pv_read_u8(struct pv_reader *r)
{
    return (uint8_t)read_uint(r, 1);
}

uint16_t pv_read_u16(struct pv_reader *r)
{
    return (uint16_t)read_uint(r, 2);
}

uint32_t pv_read_u32(struct pv_reader *r)
{
    return (uint32_t)read_uint(r, 4);
}

uint64_t pv_read_u64(struct pv_reader *r)
{
    return read_uint(r, 8);
}

float pv_read_f32(struct pv_reader *r)
{
    uint32_t bits = pv_read_u32(r);
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

double pv_read_f64(struct pv_reader *r)
{
    uint64_t bits = pv_read_u64(r);
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

const uint8_t *pv_read_bytes(struct pv_reader *r, uint64_t n)
{
    return take(r, n);
}

size_t pv_reader_left(const struct pv_reader *r)
{
    return r->failed ? 0 : r->size_bytes - r->pos;
}
