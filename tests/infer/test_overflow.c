/* A model with one number that is not finite: the error names the layer, the part of it and the token, whatever call
 * met it, on one stage and on two. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "format/gguf/gguf.h"
#include "rig.h"

enum {
    N_TEXT = 21,
    N_FIRST = 4 /* tokens before the first decode */,
    BATCH = 8,
    BAD = 13 /* index of the token whose embedding is poisoned */
};
enum call { PREFILL, DECODE, SCORE, N_CALLS };

static uint32_t tokens[N_TEXT + 1];

/* Overwrites a float of a tensor in the file. */
static void poison(const char *path, const char *tensor, size_t at)
{
    const float nan = NAN;
    struct pv_gguf g;
    ck_assert_int_eq(pv_gguf_open(&g, path, NULL), PV_OK);
    const struct pv_gguf_tensor *t = pv_gguf_tensor(&g, tensor);
    ck_assert_ptr_nonnull(t);
    ck_assert_uint_lt(at, t->size_bytes / sizeof nan);
    const off_t offset = (off_t)(t->data - g.map.data) + (off_t)(at * sizeof nan);
    pv_gguf_close(&g);
    const int fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, &nan, sizeof nan, offset), sizeof nan);
    close(fd);
}

static enum pv_status feed(struct rig *rig, enum call call)
{
    float nll[N_TEXT];
    if (call == PREFILL)
        return pv_session_prefill(rig->session, tokens, N_TEXT);
    if (call == SCORE)
        return pv_session_score(rig->session, tokens, tokens + 1, N_TEXT, nll, NULL);
    enum pv_status status = pv_session_prefill(rig->session, tokens, N_FIRST);
    for (uint32_t i = N_FIRST; status == PV_OK && i < N_TEXT; i++)
        status = pv_session_decode(rig->session, tokens[i]);
    return status;
}

struct poisoned {
    const char *tensor;
    size_t at;
    uint32_t n_stages;
    const char *message;
};

static void expect(const struct poisoned *p)
{
    static const uint32_t devices[] = {0, 0};
    const struct pv_tiny_params tiny = {.arch = "llama", .n_layers = 3, .untied = true};
    const struct pv_engine_params params = {.devices = devices, .n_devices = p->n_stages, .n_batch = BATCH};
    char path[PV_TEST_PATH_ROOM];
    struct rig rig;
    pv_test_temp("overflow.gguf", path);
    ck_assert_int_eq(pv_tiny_model_write(path, &tiny), PV_OK);
    poison(path, p->tensor, p->at);
    rig_open_model(&rig, path, &params);
    for (enum call call = 0; call < N_CALLS; call++) {
        *rig_log() = (struct pv_test_log){0};
        pv_session_reset(rig.session);
        ck_assert_int_eq(feed(&rig, call), PV_ERR_CHECK);
        ck_assert_msg(pv_test_logged(rig_log(), p->message), "%s, call %d: %s", p->tensor, (int)call,
                      rig_log()->text);
    }
    rig_close(&rig);
    remove(path);
}

START_TEST(the_first_place_is_named)
{
    rig_random_tokens(3, 250, tokens, N_TEXT + 1);
    for (uint32_t i = 0; i <= N_TEXT; i++)
        tokens[i] += tokens[i] == 7;
    expect(
        &(struct poisoned){"blk.1.ffn_norm.weight", 5, 1, "the feed-forward network of layer 1, at token 0"});
    expect(&(struct poisoned){"blk.2.attn_output.weight", 9, 2, "the attention of layer 2, at token 0"});
    expect(&(struct poisoned){"output_norm.weight", 2, 1, "all layers are finite"});
    tokens[BAD] = 7;
    expect(&(struct poisoned){"token_embd.weight", 7 * 48 + 3, 2,
                              "the embedding of the token at 13 is not finite"});
}
END_TEST

int main(void)
{
    if (!rig_start())
        return pv_test_skip("no usable device");
    Suite *suite = suite_create("overflow");
    TCase *tcase = tcase_create("overflow");
    tcase_set_timeout(tcase, 300);
    tcase_add_test(tcase, the_first_place_is_named);
    tcase_add_unchecked_fixture(tcase, NULL, rig_stop);
    suite_add_tcase(suite, tcase);
    return pv_test_main(suite);
}
