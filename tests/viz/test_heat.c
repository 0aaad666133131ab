/* label: unit. Counting, half-life, tokens of a cluster; palettes; masks and their orders; display text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "harness.h"
#include "synth.h"
#include "viz/palette.h"
#include "viz/parts.h"
#include "viz/text.h"

START_TEST(counts)
{
    struct synth s;
    struct pv_heat *heat;
    uint64_t uses = 0;
    double share = 0.0;

    synth_init(&s);
    heat = synth_heat(&s, INFINITY, 700);
    ck_assert_uint_eq(pv_heat_n_tokens(heat), 700);
    ck_assert_uint_eq(pv_heat_n_recent(heat), 512);
    for (uint32_t k = 0; k < SYNTH_CLUSTERS; k++) {
        uses += pv_heat_uses(heat, 2, k);
        share += pv_heat_share(heat, 2, k);
        ck_assert_double_eq_tol(pv_heat_share(heat, 2, k), (double)pv_heat_uses(heat, 2, k) / 700.0, 1e-6);
        if (pv_heat_uses(heat, 2, k) > 0)
            ck_assert_double_eq_tol(pv_heat_size(heat, 2, k), pv_maskset_size(s.masks, 2, k), 1e-9);
    }
    ck_assert_uint_eq(uses, 700);
    ck_assert_double_eq_tol(share, 1.0, 1e-5);
    ck_assert_uint_eq(pv_heat_recent(heat, 0)->index, 700);
    ck_assert_uint_eq(pv_heat_recent(heat, 511)->index, 189);
    ck_assert_uint_eq(pv_heat_uses(heat, 2, PV_TRACE_NO_CLUSTER), 0);
    pv_heat_destroy(heat);
    synth_free(&s);
}
END_TEST

/* Decay as tokens come and weighing anew give the same. */
START_TEST(half_life)
{
    struct synth s;
    struct pv_heat *live, *later;

    synth_init(&s);
    live = synth_heat(&s, 8.0, 300);
    synth_free(&s);
    synth_init(&s);
    later = synth_heat(&s, 100.0, 300);
    pv_heat_set_half_life(later, 8.0);
    for (uint32_t l = 0; l < SYNTH_LAYERS; l++) {
        for (uint32_t k = 0; k < SYNTH_CLUSTERS; k++)
            ck_assert_double_eq_tol(pv_heat_share(live, l, k), pv_heat_share(later, l, k), 1e-5);
    }
    ck_assert_double_eq(pv_heat_half_life(later), 8.0);
    pv_heat_destroy(live);
    pv_heat_destroy(later);
    synth_free(&s);
}
END_TEST

START_TEST(top_tokens)
{
    struct synth s;
    struct pv_heat *heat;

    synth_init(&s);
    heat = synth_heat(&s, 32.0, 500);
    for (uint32_t k = 0; k < SYNTH_CLUSTERS; k++) {
        struct pv_heat_top tops[24];
        uint32_t n = pv_heat_tops(heat, 0, k, tops, 24);
        uint64_t sum = 0;

        for (uint32_t i = 0; i < n; i++) {
            sum += tops[i].count;
            ck_assert_uint_le(tops[i].count, tops[i].count_all);
            ck_assert(i == 0 || tops[i].count <= tops[i - 1].count);
        }
        ck_assert_uint_eq(sum, pv_heat_uses(heat, 0, k)); /* 24 words: nothing had to give way */
    }
    ck_assert_uint_eq(pv_heat_tops(heat, 0, SYNTH_CLUSTERS, NULL, 0), 0);
    pv_heat_destroy(heat);
    synth_free(&s);
}
END_TEST

/* Lightness rises (falls on paper) steadily and steps look alike. */
START_TEST(palettes)
{
    for (uint32_t light = 0; light < 2; light++) {
        struct pv_palette p;
        double last[3], lab[3], least = 1.0, most = 0.0;

        pv_palette_init(&p, (uint32_t)_i, light != 0);
        pv_oklab(p.colour[0], last);
        for (int i = 8; i < 256; i += 8) {
            double step = 0.0;

            pv_oklab(p.colour[i], lab);
            ck_assert(light ? lab[0] < last[0] : lab[0] > last[0]);
            for (int c = 0; c < 3; c++)
                step += (lab[c] - last[c]) * (lab[c] - last[c]);
            step = sqrt(step);
            least = step < least ? step : least;
            most = step > most ? step : most;
            memcpy(last, lab, sizeof(lab));
        }
        ck_assert_msg(most < 2.2 * least, "%s: steps from %g to %g", pv_palette_name((uint32_t)_i), least,
                      most);
    }
    ck_assert_int_eq(pv_palette_find(pv_palette_name((uint32_t)_i)), _i);
    ck_assert_int_eq(pv_palette_find("no such palette"), -1);
}
END_TEST

START_TEST(mask_orders)
{
    struct synth s;
    uint32_t clusters[12], neurons[SYNTH_FFN], changes = 0;
    bool seen[SYNTH_FFN] = {false};

    synth_init(&s);
    for (uint32_t i = 0; i < 12; i++)
        clusters[i] = i / 2 * 8 + i % 2 * 4; /* two families, in turn */
    ck_assert_int_eq(pv_maskset_order_clusters(s.masks, 1, clusters, 12), PV_OK);
    for (uint32_t i = 1; i < 12; i++)
        changes += clusters[i] % 8 != clusters[i - 1] % 8;
    ck_assert_uint_eq(changes, 1);
    ck_assert_int_eq(pv_maskset_order_neurons(s.masks, 1, clusters, 12, neurons), PV_OK);
    for (uint32_t j = 0; j < SYNTH_FFN; j++)
        seen[neurons[j]] = true;
    for (uint32_t j = 0; j < SYNTH_FFN; j++)
        ck_assert(seen[j]);
    for (uint32_t j = 0; j < 10; j++) /* what all share comes first */
        ck_assert(pv_maskset_bit(pv_maskset_row(s.masks, 1, 5), neurons[j]));
    ck_assert_double_eq(pv_maskset_jaccard(s.masks, 1, 3, 3), 1.0);
    ck_assert_double_eq(pv_maskset_jaccard(s.masks, 1, 3, 4), pv_maskset_jaccard(s.masks, 1, 4, 3));
    synth_free(&s);
}
END_TEST

START_TEST(display)
{
    static const struct {
        const char *in, *out;
    } cases[] = {{" the", "the"},
                 {"the", "-the"},
                 {"\n", "\xe2\x86\xb5"},
                 {" ", "\xe2\x90\xa3"},
                 {"\x1b[2J", "\\x1b[2J"},
                 {"\xe2\x80", "\\xe2\\x80"},
                 {"\xe2\x80\xae", "\\xe2\\x80\\xae"},
                 {"Caf\xc3\xa9", "Caf\xc3\xa9"},
                 {"", ""},
                 {"  ", "\xe2\x90\xa3"}};
    char out[64], small[8];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pv_text_label(cases[i].in, strlen(cases[i].in), out, sizeof(out));
        ck_assert_str_eq(out, cases[i].out);
    }
    pv_text_label("ABCDEFGHIJKL", 12, small, sizeof(small));
    ck_assert_str_eq(small, "ABCD\xe2\x80\xa6");
    ck_assert_uint_eq(pv_text_width("a\xe4\xb8\xad\xcc\x81"), 3); /* a, wide, combining */
    ck_assert_uint_eq(pv_text_fit("a\xe4\xb8\xad"
                                  "b",
                                  2),
                      1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("viz/heat");
    TCase *c = tcase_create("heat");

    tcase_add_test(c, counts);
    tcase_add_test(c, half_life);
    tcase_add_test(c, top_tokens);
    tcase_add_loop_test(c, palettes, 0, PV_N_PALETTES);
    tcase_add_test(c, mask_orders);
    tcase_add_test(c, display);
    suite_add_tcase(suite, c);
    return pv_test_main(suite);
}
