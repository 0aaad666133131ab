/* Generates text: generate MODEL.gguf PROMPT [CLUSTERS.gguf]. With clusters, a token computes those neurons alone. */
#include <parvin/parvin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_log(void *user, enum pv_log_level level, const char *message)
{
    (void)user, (void)level;
    fprintf(stderr, "%s\n", message);
}

static enum pv_status generate(struct pv_session *session, const struct pv_model *model, const char *prompt)
{
    const struct pv_encode_params encode = {.add_bos = pv_model_wants_bos(model)};
    uint32_t *tokens = NULL;
    size_t n = 0;
    enum pv_status status = pv_encode(model, prompt, strlen(prompt), &encode, &tokens, &n);
    if (status == PV_OK)
        status = pv_session_prefill(session, tokens, (uint32_t)n);
    free(tokens);
    for (int i = 0; i < 64 && status == PV_OK; i++) {
        const uint32_t token = pv_session_argmax(session);
        if (pv_token_is_end(model, token))
            break;
        const char *bytes;
        const size_t n_bytes = pv_token_bytes(model, token, false, &bytes);
        fwrite(bytes, 1, n_bytes, stdout);
        status = pv_session_decode(session, token);
    }
    puts("");
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return fprintf(stderr, "usage: generate MODEL.gguf PROMPT [CLUSTERS.gguf]\n"), 2;
    const struct pv_log log = {.fn = print_log, .max_level = PV_LOG_WARN};
    struct pv_context *context = NULL;
    struct pv_model *model = NULL;
    struct pv_clusters *clusters = NULL;
    struct pv_engine *engine = NULL;
    struct pv_session *session = NULL;
    bool good = pv_context_create(&(struct pv_context_params){.log = log}, &context) == PV_OK &&
                pv_model_open(argv[1], &(struct pv_model_params){.log = log}, &model) == PV_OK &&
                (argc == 3 || pv_clusters_open(argv[3], &log, &clusters) == PV_OK);
    good = good && pv_engine_create(context, model, &(struct pv_engine_params){.clusters = clusters},
                                    &engine) == PV_OK;
    const struct pv_session_params params = {.ffn = clusters ? PV_FFN_ROUTED : PV_FFN_DENSE};
    good = good && pv_session_create(engine, &params, &session) == PV_OK &&
           generate(session, model, argv[2]) == PV_OK;
    pv_session_destroy(session); // all of these take NULL
    pv_engine_destroy(engine);
    pv_clusters_close(clusters);
    pv_model_close(model);
    pv_context_destroy(context);
    return good ? 0 : 1;
}
