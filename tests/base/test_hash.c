#include "base/hash.h"

#include "harness.h"

/* xxHash's own sanity check: bytes from a generator seeded with 2654435761, hashed at several lengths with
 * seeds 0 and 2654435761 (https://github.com/Cyan4973/xxHash/blob/v0.8.1/cli/xsum_sanity_check.c). */
START_TEST(reference_values_come_out)
{
    static const struct {
        size_t n;
        uint64_t seed, hash;
    } cases[] = {
        {0, 0, 0xef46db3751d8e999u},
        {0, 2654435761u, 0xac75fda2929b17efu},
        {1, 0, 0xe934a84adb052768u},
        {1, 2654435761u, 0x5014607643a9b4c3u},
        {4, 0, 0x9136a0dca57457eeu},
        {14, 0, 0x8282dcc4994e35c8u},
        {14, 2654435761u, 0xc3bd6bf63deb6df0u},
        {222, 0, 0xb641ae8cb691c174u},
        {222, 2654435761u, 0x20cb8ab7ae10c14au},
    };
    uint8_t bytes[222];
    uint64_t state = 2654435761u;

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(state >> 56);
        state *= 11400714785074694797u;
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(pv_hash64(bytes, cases[i].n, cases[i].seed) == cases[i].hash, "case %zu: %llx", i,
                      (unsigned long long)pv_hash64(bytes, cases[i].n, cases[i].seed));
    ck_assert_uint_eq(pv_hash64("abc", 3, 0), 0x44bc2cf5ad770999u);
}
END_TEST

START_TEST(address_does_not_matter)
{
    uint8_t bytes[116];
    uint64_t first = 0;

    for (size_t shift = 0; shift < 16; shift++) {
        for (size_t i = 0; i < 100; i++)
            bytes[shift + i] = (uint8_t)(i * 7);
        if (shift == 0)
            first = pv_hash64(bytes, 100, 5);
        ck_assert_uint_eq(pv_hash64(bytes + shift, 100, 5), first);
    }
}
END_TEST

/* CPython's hash of bytes with PYTHONHASHSEED=0 is SipHash-1-3 with the key 0; of no bytes, Rust's DefaultHasher. */
START_TEST(keyed_hashes_are_siphash)
{
    static const struct {
        size_t n;
        uint64_t hash;
    } cases[] = {{0, 15130871412783076140u}, {1, 15078539357604418979u}, {7, 4423015880544474238u},
                 {8, 13721966650037844384u}, {9, 1110956022226650754u},  {17, 4771951516191823429u}};
    static const uint64_t zero[2] = {0, 0}, other[2] = {0, 1};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_uint_eq(pv_hash_keyed("xxxxxxxxxxxxxxxxx", cases[i].n, zero), cases[i].hash);
        ck_assert_uint_ne(pv_hash_keyed("xxxxxxxxxxxxxxxxx", cases[i].n, other), cases[i].hash);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/hash");
    TCase *tcase = tcase_create("hash");

    tcase_add_test(tcase, reference_values_come_out);
    tcase_add_test(tcase, address_does_not_matter);
    tcase_add_test(tcase, keyed_hashes_are_siphash);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
