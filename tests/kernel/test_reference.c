/* label: unit
 * The CPU references against values worked out by hand, so that kernel and reference cannot be wrong
 * together. */
#include <math.h>
#include <stdlib.h>

#include "harness.h"
#include "kernel/reference.h"

static void near(double got, double expected)
{
    ck_assert_msg(fabs(got - expected) <= 1e-6 * (1.0 + fabs(expected)), "%.9g, expected %.9g", got,
                  expected);
}
static void all_near(const float *got, const double *expected, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs((double)got[i] - expected[i]) <= 1e-6 * (1.0 + fabs(expected[i])),
                      "[%zu] is %.9g, expected %.9g", i, (double)got[i], expected[i]);
}

/* [[1, 2, 3], [4, 5, 6]] */
static const float weights[] = {1, 2, 3, 4, 5, 6};
static const struct pv_ref_matrix matrix = {2, 3, weights};

START_TEST(embed_picks_rows)
{
    float out[9];
    pv_ref_embed(&matrix, (const uint32_t[]){1, 2, 0}, 3, 1.0f, out);
    all_near(out, (const double[]){4, 5, 6, 0, 0, 0, 1, 2, 3}, 9);
    pv_ref_embed(&matrix, (const uint32_t[]){1}, 1, 12.0f, out);
    all_near(out, (const double[]){48, 60, 72}, 3);
}
END_TEST

START_TEST(rmsnorm_divides_by_the_root_mean_square)
{
    float out[4];
    /* 3 and 4: mean square 12.5; with eps 12.5 the divisor is 5. 0 and 0: nothing to divide. */
    const struct pv_ref_norm a = {.weight = (const float[]){1, 2}, .n_rows = 2, .n_cols = 2, .eps = 12.5f};
    pv_ref_norm(&a, (const float[]){3, 4, 0, 0}, out);
    all_near(out, (const double[]){0.6, 1.6, 0, 0}, 4);
}
END_TEST

START_TEST(layer_norm_takes_the_mean_off)
{
    float out[] = {10, 20};
    /* 1 and 7: mean 4, variance 9; with eps 16 the divisor is 5. */
    const struct pv_ref_norm a = {.weight = (const float[]){5, 10},
                                  .bias = (const float[]){1, 2},
                                  .n_rows = 1,
                                  .n_cols = 2,
                                  .eps = 16.0f,
                                  .layer = true,
                                  .accumulate = true};
    pv_ref_norm(&a, (const float[]){1, 7}, out);
    all_near(out, (const double[]){10 - 3 + 1, 20 + 6 + 2}, 2);
}
END_TEST

START_TEST(soft_cap_bounds)
{
    float y[] = {0, 2, -2000};
    pv_ref_soft_cap(y, 3, 2.0f);
    all_near(y, (const double[]){0, 2 * 0.7615941559557649, -2}, 3);
}
END_TEST

START_TEST(lanes_are_seen_twice)
{
    uint32_t y[4] = {0};
    pv_ref_lanes(8, 2, y);
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(y[i], 8);
}
END_TEST

START_TEST(linear_multiplies)
{
    float y[] = {100, 200, 300, 400};
    const float x[] = {1, 0, -1, 2, 1, 0}, bias[] = {10, 20};
    pv_ref_linear(&matrix, NULL, x, 2, false, y);
    all_near(y, (const double[]){-2, -2, 4, 13}, 4);
    pv_ref_linear(&matrix, bias, x, 2, true, y); /* on top of that */
    all_near(y, (const double[]){6, 16, 18, 46}, 4);
}
END_TEST

START_TEST(linear_transposed_multiplies)
{
    float y[] = {100, 200, 300};
    const float x[] = {1, -1}, bias[] = {10, 20, 30};
    pv_ref_linear_t(&matrix, NULL, x, 1, false, y);
    all_near(y, (const double[]){-3, -3, -3}, 3);
    pv_ref_linear_t(&matrix, bias, x, 1, true, y);
    all_near(y, (const double[]){4, 14, 24}, 3);
}
END_TEST

START_TEST(rope_turns_pairs)
{
    /* base 1: every pair turns by the position, pi/2 for no whole position, so use cos and sin of 1 and 2. */
    struct pv_ref_rope a = {
        .n_tokens = 2, .n_heads = 1, .head_dim = 5, .rope_dim = 4, .pos = 1, .freq_base = 1};
    float x[] = {1, 0, 0, 1, 7, 1, 0, 0, 1, 7};
    a.kind = PV_ROPE_ADJACENT;
    pv_ref_rope(&a, x);
    all_near(x, (const double[]){cos(1), sin(1), -sin(1), cos(1), 7, cos(2), sin(2), -sin(2), cos(2), 7}, 10);
    float n[] = {1, 0, 0, 1, 7, 1, 0, 0, 1, 7}; /* pairs (x0, x2) = (1, 0) and (x1, x3) = (0, 1) */
    a.kind = PV_ROPE_NEOX;
    pv_ref_rope(&a, n);
    all_near(n, (const double[]){cos(1), -sin(1), sin(1), cos(1), 7, cos(2), -sin(2), sin(2), cos(2), 7}, 10);
}
END_TEST

START_TEST(rope_slows_down_along_the_head)
{
    /* base 100, rope_dim 4: the second pair turns by pos * 100^(-1/2) = pos / 10. */
    const struct pv_ref_rope a = {
        .n_tokens = 1, .n_heads = 2, .head_dim = 4, .rope_dim = 4, .pos = 5, .freq_base = 100};
    float x[] = {1, 0, 1, 0, 0, 2, 0, 2};
    pv_ref_rope(&a, x);
    all_near(x,
             (const double[]){cos(5), sin(5), cos(0.5), sin(0.5), -2 * sin(5), 2 * cos(5), -2 * sin(0.5),
                              2 * cos(0.5)},
             8);
}
END_TEST

START_TEST(rope_divides_by_factors_and_amplifies)
{
    /* base 1: the pairs turn by 6 / 2 and 6 / 3, and grow by 1.5. */
    const struct pv_ref_rope a = {.n_tokens = 1,
                                  .n_heads = 1,
                                  .head_dim = 4,
                                  .rope_dim = 4,
                                  .pos = 6,
                                  .freq_base = 1,
                                  .amplitude = 1.5f,
                                  .factors = (const float[]){2, 3}};
    float x[] = {1, 0, 1, 0};
    pv_ref_rope(&a, x);
    all_near(x, (const double[]){1.5 * cos(3), 1.5 * sin(3), 1.5 * cos(2), 1.5 * sin(2)}, 4);
}
END_TEST

START_TEST(kv_write_places_rows_by_head)
{
    const struct pv_ref_attention a = {
        .n_tokens = 2, .n_kv_heads = 2, .head_dim = 1, .head_stride = 2, .n_ctx = 2, .pos = 1};
    float cache[8] = {9, 9, 9, 9, 9, 9, 9, 9};
    pv_ref_kv_write(&a, (const float[]){1, 2, 3, 4}, cache); /* the second token is past n_ctx */
    all_near(cache, (const double[]){9, 9, 1, 0, 9, 9, 2, 0}, 8);
}
END_TEST

START_TEST(attention_weighs_values)
{
    /* Two queries of two heads on one kv head, head_dim 1: weights exp(q k) over the positions seen. */
    const struct pv_ref_attention a = {
        .n_tokens = 2, .n_heads = 2, .n_kv_heads = 1, .head_dim = 1, .head_stride = 2, .n_ctx = 3, .pos = 0};
    const float q[] = {1, 5, 0, 1}, k[] = {0, 99, 1, 99, 1000, 99}, v[] = {10, 99, 20, 99, 1000, 99};
    double scores[3];
    float out[4];
    pv_ref_attention(&a, q, k, v, scores, out);
    const double e = exp(1.0);
    all_near(out, (const double[]){10, 10, 15, (10 + 20 * e) / (1 + e)}, 4);
}
END_TEST

START_TEST(attention_scales_by_the_root_of_the_head)
{
    /* head_dim 4, q k = 4 at one position and 0 at the other: 4 / sqrt(4) = 2. */
    const struct pv_ref_attention a = {
        .n_tokens = 1, .n_heads = 1, .n_kv_heads = 1, .head_dim = 4, .head_stride = 4, .n_ctx = 2, .pos = 1};
    const float q[] = {1, 1, 1, 1}, k[] = {1, 1, 1, 1, 0, 0, 0, 0}, v[] = {1, 0, 0, 0, 0, 1, 0, 0};
    double scores[2];
    float out[4];
    pv_ref_attention(&a, q, k, v, scores, out);
    const double w = exp(2.0) / (1.0 + exp(2.0));
    all_near(out, (const double[]){w, 1 - w, 0, 0}, 4);
}
END_TEST

START_TEST(attention_is_capped_and_windowed)
{
    /* Three positions, a window of two: scores 3 * 1 / 1 and 3 * 0, capped to 2 tanh(1.5) and 0. */
    const struct pv_ref_attention a = {.n_tokens = 1,
                                       .n_heads = 1,
                                       .n_kv_heads = 1,
                                       .head_dim = 1,
                                       .head_stride = 1,
                                       .n_ctx = 3,
                                       .pos = 2,
                                       .scale = 3.0f,
                                       .softcap = 2.0f,
                                       .window = 2};
    double scores[3];
    float out[1];
    pv_ref_attention(&a, (const float[]){1}, (const float[]){1000, 1, 0}, (const float[]){1000, 1, 0}, scores,
                     out);
    const double e = exp(2.0 * 0.9051482536448664);
    all_near(out, (const double[]){e / (1 + e)}, 1);
}
END_TEST

START_TEST(activations_have_known_values)
{
    near(pv_ref_act(PV_ACT_RELU, -2), 0);
    near(pv_ref_act(PV_ACT_RELU, 3), 3);
    near(pv_ref_act(PV_ACT_RELU2, -2), 0);
    near(pv_ref_act(PV_ACT_RELU2, 3), 9);
    near(pv_ref_act(PV_ACT_SILU, 0), 0);
    near(pv_ref_act(PV_ACT_SILU, 1), 0.7310585786300049);
    near(pv_ref_act(PV_ACT_SILU, -1000), 0);
    near(pv_ref_act(PV_ACT_GELU, 0), 0);
    near(pv_ref_act(PV_ACT_GELU, 1), 0.8411919906082768);
    near(pv_ref_act(PV_ACT_GELU, -1), -0.15880800939172324);
    near(pv_ref_act(PV_ACT_GELU, 1000), 1000);
}
END_TEST

START_TEST(act_rows_gates)
{
    float up[] = {2, -3, 4, 5}, plain[] = {2, -3};
    const float gate[] = {3, 4, -1, 0.5f};
    pv_ref_act_rows(up, gate, 2, 2, PV_ACT_RELU);
    all_near(up, (const double[]){6, -12, 0, 2.5}, 4);
    pv_ref_act_rows(plain, NULL, 1, 2, PV_ACT_RELU2);
    all_near(plain, (const double[]){4, 0}, 2);
}
END_TEST

START_TEST(ffn_is_compact_in_list_order)
{
    const float gate_w[] = {0, 0, 1, 0, 0, 2};
    const struct pv_ref_matrix gate = {2, 3, gate_w};
    const uint32_t list[] = {1, 0};
    const float z[] = {1, 1, 1};
    float a[2], y[] = {1, 1, 1};
    struct pv_ref_ffn f = {.up = &matrix, .down_t = &matrix, .act = PV_ACT_RELU2, .n = 2};
    pv_ref_ffn_up(&f, z, a);
    all_near(a, (const double[]){36, 225}, 2);
    f.act = PV_ACT_RELU;
    f.list = list;
    pv_ref_ffn_up(&f, z, a);
    all_near(a, (const double[]){15, 6}, 2);
    f.gate = &gate;
    f.n = 1;
    pv_ref_ffn_up(&f, z, a); /* gate 2 times up 15 */
    near((double)a[0], 30);
    f.accumulate = true;
    pv_ref_ffn_down(&f, a, y); /* 1 + 30 * (4, 5, 6) */
    all_near(y, (const double[]){121, 151, 181}, 3);
    f.accumulate = false;
    f.n = 2;
    f.list = NULL;
    pv_ref_ffn_down(&f, (const float[]){1, -1}, y);
    all_near(y, (const double[]){-3, -3, -3}, 3);
    f.n = 0;
    pv_ref_ffn_down(&f, a, y);
    all_near(y, (const double[]){0, 0, 0}, 3);
}
END_TEST

START_TEST(ffn_biases_follow_the_neurons)
{
    const uint32_t list[] = {1};
    const float z[] = {1, 1, 1};
    float a[1], y[3];
    const struct pv_ref_ffn f = {.up = &matrix,
                                 .gate = &matrix,
                                 .down_t = &matrix,
                                 .up_bias = (const float[]){100, 1},
                                 .gate_bias = (const float[]){100, -13},
                                 .down_bias = (const float[]){1, 2, 3},
                                 .act = PV_ACT_RELU,
                                 .list = list,
                                 .n = 1};
    pv_ref_ffn_up(&f, z, a); /* (15 - 13) * (15 + 1) */
    near((double)a[0], 32);
    pv_ref_ffn_down(&f, a, y);
    all_near(y, (const double[]){32 * 4 + 1, 32 * 5 + 2, 32 * 6 + 3}, 3);
}
END_TEST

START_TEST(the_best_two_are_joined)
{
    static const uint32_t masks[3] = {0x21, 0x5, 0x80};
    uint32_t best[2], bits, list[8];
    pv_ref_best_two((const float[]){1, 3, 2.5f}, 3, best);
    ck_assert(best[0] == 1 && best[1] == 2);
    pv_ref_union(masks, best, 8, &bits);
    ck_assert_uint_eq(bits, 0x85);
    ck_assert_uint_eq(pv_ref_union_list(&bits, 8, list), 3);
    ck_assert(list[0] == 0 && list[1] == 2 && list[2] == 7);
    pv_ref_best_two((const float[]){3, 1, 3, 1}, 4, best); /* ties: the lowest */
    ck_assert(best[0] == 0 && best[1] == 2);
    pv_ref_best_two((const float[]){1, 1, 3}, 3, best);
    ck_assert(best[0] == 2 && best[1] == 0);
    pv_ref_best_two((const float[]){NAN, -7, NAN}, 3, best); /* no other */
    ck_assert(best[0] == 1 && best[1] == 1);
    pv_ref_best_two((const float[]){-7}, 1, best);
    ck_assert(best[0] == 0 && best[1] == 0);
}
END_TEST

START_TEST(route_takes_the_first_greatest)
{
    float margin;
    ck_assert_uint_eq(pv_ref_route((const float[]){1, 3, 2.5f}, 3, &margin), 1);
    near((double)margin, 0.5);
    ck_assert_uint_eq(pv_ref_route((const float[]){3, 1, 3}, 3, &margin), 0);
    near((double)margin, 0);
    ck_assert_uint_eq(pv_ref_route((const float[]){-7}, 1, &margin), 0);
    near((double)margin, 0);
    ck_assert_uint_eq(pv_ref_route((const float[]){NAN, -7, NAN, -9}, 4, &margin), 1);
    near((double)margin, 2);
    ck_assert_uint_eq(pv_ref_argmax((const float[]){-1, -1, 0, 0}, 4), 2);
    ck_assert_uint_eq(pv_ref_argmax((const float[]){NAN, NAN}, 2), 0);
    ck_assert_uint_eq(pv_ref_argmax((const float[]){NAN, -1}, 2), 1);
}
END_TEST

START_TEST(mask_rows_clears)
{
    float a[80];
    uint32_t bits[6] = {0};
    for (int i = 0; i < 80; i++)
        a[i] = 1;
    bits[4 + 0] = 1u << 31; /* mask 2, F = 40: neurons 31 and 33 */
    bits[4 + 1] = 1u << 1;
    pv_ref_mask_rows(a, bits, (const uint32_t[]){2, 0}, 2, 40);
    for (int j = 0; j < 40; j++) {
        near((double)a[j], j == 31 || j == 33);
        near((double)a[40 + j], 0);
    }
}
END_TEST

START_TEST(capture_measures_contributions)
{
    const float a[] = {-2, 0, 1, 1}, norm[] = {3, 1};
    float c[4];
    uint32_t bits[2] = {~0u, ~0u};
    pv_ref_capture(a, norm, 2, 2, 1.0f, c, bits);
    all_near(c, (const double[]){6, 0, 3, 1}, 4);
    ck_assert_uint_eq(bits[0], 1); /* 6 > 1 */
    ck_assert_uint_eq(bits[1], 1); /* 3 > 1, and 1 is not */
}
END_TEST

START_TEST(add_adds)
{
    float y[] = {1, 2};
    pv_ref_add(y, (const float[]){10, 20}, 2);
    all_near(y, (const double[]){11, 22}, 2);
}
END_TEST

START_TEST(nll_is_the_negative_log_of_the_softmax)
{
    float nll[3];
    /* equal logits: ln 3; ln(1 + e^-1000) at the winner is 0; a target outside gives 0 */
    pv_ref_nll_rows((const float[]){5, 5, 5, 1000, 0, 0, 1, 1, 1}, (const uint32_t[]){1, 0, 3}, 3, 3, nll);
    all_near(nll, (const double[]){1.0986122886681098, 0, 0}, 3);
    pv_ref_nll_rows((const float[]){0, 1}, (const uint32_t[]){0}, 1, 2, nll);
    near((double)nll[0], 1.3132616875182228); /* ln(1 + e) */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {embed_picks_rows,
                                  rmsnorm_divides_by_the_root_mean_square,
                                  layer_norm_takes_the_mean_off,
                                  soft_cap_bounds,
                                  lanes_are_seen_twice,
                                  linear_multiplies,
                                  linear_transposed_multiplies,
                                  rope_turns_pairs,
                                  rope_slows_down_along_the_head,
                                  rope_divides_by_factors_and_amplifies,
                                  kv_write_places_rows_by_head,
                                  attention_weighs_values,
                                  attention_scales_by_the_root_of_the_head,
                                  attention_is_capped_and_windowed,
                                  activations_have_known_values,
                                  act_rows_gates,
                                  ffn_is_compact_in_list_order,
                                  ffn_biases_follow_the_neurons,
                                  route_takes_the_first_greatest,
                                  the_best_two_are_joined,
                                  mask_rows_clears,
                                  capture_measures_contributions,
                                  add_adds,
                                  nll_is_the_negative_log_of_the_softmax};
    Suite *suite = suite_create("kernel/reference");
    TCase *tc = tcase_create("by hand");
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        tcase_add_test(tc, tests[i]);
    suite_add_tcase(suite, tc);
    return pv_test_main(suite);
}
