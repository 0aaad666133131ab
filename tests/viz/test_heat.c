/* label: unit. Counting, half-life, tokens of a cluster; palettes; the order of clusters, and of neurons; display text.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "harness.h"
#include "made.h"
#include "synth.h"
#include "viz/order/align.h"
#include "viz/order/order.h"
#include "viz/palette.h"
#include "viz/parts.h"
#include "viz/picture/text.h"

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
        const uint32_t n = pv_heat_tops(heat, 0, k, tops, 24);
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
            memcpy(last, lab, sizeof lab);
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
    uint32_t clusters[12], neurons[SYNTH_FFN];
    bool seen[SYNTH_FFN] = {false};

    synth_init(&s);
    for (uint32_t i = 0; i < 12; i++)
        clusters[i] = i * 4; /* two families */
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

/* Places are a permutation both ways, the same for the same tokens; a token keeps its place from layer to layer, which by
 * numbers it does not; clusters that no token took stand between the others; like places look alike. */
START_TEST(orders)
{
    static const uint32_t clusters[] = {1, 16, 500};
    const uint32_t n = clusters[_i], n_layers = 9;
    struct pv_heat *heat[2];
    double near = 0.0, far = 0.0;

    for (int i = 0; i < 2; i++) {
        struct made m;

        made_init(&m, n_layers, n, 100);
        ck_assert_int_eq(pv_heat_create(&m.header, NULL, &heat[i]), PV_OK);
        ck_assert_uint_eq(pv_heat_at(heat[i], 3, n - 1), n - 1); /* no token yet */
        for (uint32_t t = 0; t < 700; t++)
            ck_assert_int_eq(pv_heat_push(heat[i], made_next(&m)), PV_OK);
        ck_assert_int_eq(pv_heat_settle(heat[i]), PV_OK);
        ck_assert_int_eq(pv_heat_settle(heat[i]), PV_OK); /* again: nothing changes */
        made_free(&m);
    }
    for (uint32_t l = 0; l < n_layers; l++) {
        for (uint32_t i = 0; i < n; i++) {
            ck_assert_uint_eq(pv_heat_place(heat[0], l, pv_heat_at(heat[0], l, i)), i);
            ck_assert_uint_eq(pv_heat_at(heat[0], l, i), pv_heat_at(heat[1], l, i));
        }
    }
    ck_assert_double_gt(pv_heat_steadiness(heat[0]), 0.9); /* the model changes its mind at 1 step in 24 */
    for (double i = 0; i + 24 < 48; i++) {
        double a[3], b[3], c[3];

        pv_oklab(pv_palette_place((i + 0.5) / 48, false), a);
        pv_oklab(pv_palette_place((i + 1.5) / 48, false), b);
        pv_oklab(pv_palette_place((i + 24.5) / 48, false), c);
        ck_assert_double_gt(a[0], b[0]); /* lightness falls */
        near += hypot(hypot(a[0] - b[0], a[1] - b[1]), a[2] - b[2]);
        far += hypot(hypot(a[0] - c[0], a[1] - c[1]), a[2] - c[2]);
    }
    ck_assert_double_lt(near * 4, far);
    pv_heat_destroy(heat[0]);
    pv_heat_destroy(heat[1]);
}
END_TEST

/* Two words in three layers, told apart by every layer: by hand. */
START_TEST(align)
{
    static const uint32_t tokens[] = {0, 2, 1, 3, 1, 0, 0, 2, 1, 3, 1, 0, 0, 2, 1, 7, 1, 0};
    const struct pv_chosen a = {.clusters = tokens, .n_tokens = 6, .n_layers = 3, .n_clusters = 4};
    uint32_t place[12] = {0};

    ck_assert_double_eq_tol(pv_align_steadiness(&a, place, 0.1), 1.0, 1e-9);
    ck_assert_int_eq(pv_align_places(&a, false, place), PV_OK);
    /* Word A takes 0, 2, 1 and word B 3, 1, 0; once a layer ran dense. Each word has a place of its own. */
    ck_assert_uint_eq(place[0], place[4 + 2]);
    ck_assert_uint_eq(place[0], place[8 + 1]);
    ck_assert_uint_eq(place[3], place[4 + 1]);
    ck_assert_uint_eq(place[3], place[8 + 0]);
    ck_assert_uint_eq(place[0] + place[3], 2); /* of four: the first and the third */
    ck_assert_double_eq_tol(pv_align_steadiness(&a, place, 0.1), 1.0, 1e-9);
    for (uint32_t i = 0; i < 12; i++)
        place[i] = i % 4;
    ck_assert_double_eq_tol(pv_align_steadiness(&a, place, 0.3), 6.0 / 11.0, 1e-9);
}
END_TEST

/* A history that is full keeps every other token, and the order that comes of it is as good. */
START_TEST(long_history)
{
    struct pv_order order;
    struct made m;

    made_init(&m, 3, 40, 10);
    pv_order_init(&order, 3, 40);
    for (uint32_t i = 0; i < 20000; i++)
        ck_assert_int_eq(pv_order_push(&order, made_next(&m)->cluster), PV_OK);
    ck_assert_int_eq(pv_order_make(&order), PV_OK);
    ck_assert_uint_le(order.n_kept, 8192);
    ck_assert_uint_ge(order.n_kept, 4096);
    ck_assert_uint_eq(order.stride, 4);
    ck_assert_double_gt(pv_order_steadiness(&order, 0.2), 0.9);
    pv_order_free(&order);
    made_free(&m);
}
END_TEST

/* Words that look alike are one, strays go, and a spread takes one cluster of each stretch. */
START_TEST(telling)
{
    static const char *const words[] = {" the", "The", " The", " a", " cat"};
    static const uint32_t times[] = {30, 5, 7, 20, 1};
    const struct pv_trace_header header = {.model = "m", .n_layers = 1, .n_clusters = 4, .d_ffn = 8};
    uint32_t cluster = 2, n_neurons = 1, clusters[4];
    struct pv_heat_top tops[8];
    struct pv_heat *heat;

    ck_assert_int_eq(pv_heat_create(&header, NULL, &heat), PV_OK);
    for (uint32_t w = 0; w < 5; w++) {
        for (uint32_t i = 0; i < times[w]; i++) {
            struct pv_trace_token token = {.token = w,
                                           .text = words[w],
                                           .text_bytes = strlen(words[w]),
                                           .cluster = &cluster,
                                           .n_neurons = &n_neurons};

            ck_assert_int_eq(pv_heat_push(heat, &token), PV_OK);
        }
    }
    ck_assert_uint_eq(pv_telling_tokens(heat, 0, 2, tops, 8), 3);
    ck_assert_str_eq(tops[0].text, "the");
    ck_assert_str_eq(tops[1].text, "a");
    ck_assert_str_eq(tops[2].text, "The");
    ck_assert_uint_eq(tops[2].count, 12);
    ck_assert_double_eq_tol(pv_telling_score(heat, 0, 2), 32.0, 1e-9);
    ck_assert_uint_eq(pv_telling_tokens(heat, 0, 1, tops, 8), 0);
    cluster = 0;
    ck_assert_int_eq(pv_heat_push(heat, &(struct pv_trace_token){.token = 4,
                                                                 .text = " cat",
                                                                 .text_bytes = 4,
                                                                 .cluster = &cluster,
                                                                 .n_neurons = &n_neurons}),
                     PV_OK);
    ck_assert_uint_eq(pv_telling_tokens(heat, 0, 0, tops, 8), 1); /* a stray is better than nothing */
    ck_assert_uint_eq(pv_spread(heat, 0, clusters, 4), 2);
    ck_assert_uint_eq(clusters[0], 2); /* the most used one comes first */
    ck_assert_uint_eq(clusters[1], 0);
    ck_assert_uint_eq(pv_spread(heat, 0, clusters, 1), 1);
    ck_assert_uint_eq(clusters[0], 2);
    pv_heat_destroy(heat);
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
                 {"  ", "\xe2\x90\xa3"},
                 {"\xcc\x81", "\xe2\x97\x8c\xcc\x81"}, /* a mark without a letter */
                 {" \xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xb1", "\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xb1"}};
    char out[64], small[8];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pv_text_label(cases[i].in, strlen(cases[i].in), out, sizeof out);
        ck_assert_str_eq(out, cases[i].out);
    }
    pv_text_label("ABCDEFGHIJKL", 12, small, sizeof small);
    ck_assert_str_eq(small, "ABCD\xe2\x80\xa6");
    ck_assert_uint_eq(pv_text_width("a\xe4\xb8\xad\xcc\x81"), 3); /* a, wide, combining */
    ck_assert_uint_eq(pv_text_width("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80!"),
                      3);                                                        /* woman, joiner, rocket */
    ck_assert_uint_eq(pv_text_width("\xe0\xb8\x99\xe0\xb9\x89\xe0\xb8\xb3"), 2); /* Thai: tone mark, vowel */
    ck_assert_uint_eq(pv_text_width("\xe0\xa4\xa4\xe0\xa4\xbe"), 2); /* Devanagari ta with its vowel */
    ck_assert_uint_eq(pv_text_fit("e\xcc\x81x", 1), 3);              /* a letter with its mark */
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
    tcase_add_loop_test(c, orders, 0, 3);
    tcase_add_test(c, align);
    tcase_add_test(c, long_history);
    tcase_add_test(c, telling);
    tcase_add_test(c, display);
    suite_add_tcase(suite, c);
    return pv_test_main(suite);
}
