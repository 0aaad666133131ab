/* A cursor over bytes that never reads past the end. After the first failure every read gives zeros and
 * `failed` stays set, so a parser checks once per record. Little-endian. */
#ifndef PV_BASE_READER_H
#define PV_BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pv_reader {
    const uint8_t *data;
    size_t size_bytes, pos;
    bool failed;
};
uint8_t pv_read_u8(struct pv_reader *r);
uint16_t pv_read_u16(struct pv_reader *r);
uint32_t pv_read_u32(struct pv_reader *r);
uint64_t pv_read_u64(struct pv_reader *r);
float pv_read_f32(struct pv_reader *r);
double pv_read_f64(struct pv_reader *r);
/* `n` bytes in place, or NULL with `failed` set. */
const uint8_t *pv_read_bytes(struct pv_reader *r, uint64_t n);
size_t pv_reader_left(const struct pv_reader *r);

#endif
