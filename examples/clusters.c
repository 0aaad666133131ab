/* Shows the clusters at work: clusters MODEL.gguf CLUSTERS.gguf TEXT. Each line is a token of the text, the cluster
 * that the router of each layer chose for it, and the share of neurons that were computed. */
#include <parvin/parvin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum pv_status watch(struct pv_session *session, const struct pv_model *model, const char *text)
{
    uint32_t *tokens = NULL;
    size_t n = 0;
    enum pv_status status = pv_encode(model, text, strlen(text), NULL, &tokens, &n);
    for (size_t i = 0; i < n && status == PV_OK; i++) {
        struct pv_token_stats stats;
        status = pv_session_decode(session, tokens[i]);
        if (status == PV_OK)
            status = pv_session_token_stats(session, &stats);
        if (status != PV_OK)
            break;
        const char *bytes;
        const size_t n_bytes = pv_token_bytes(model, tokens[i], true, &bytes);
        printf("%16.*s ", (int)n_bytes, bytes);
        for (uint32_t layer = 0; layer < stats.n_layers; layer++)
            printf(" %4u", stats.cluster[layer]);
        printf("   %.3f\n", stats.density);
    }
    free(tokens);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return fprintf(stderr, "usage: clusters MODEL.gguf CLUSTERS.gguf TEXT\n"), 2;
    struct pv_context *context = NULL;
    struct pv_model *model = NULL;
    struct pv_clusters *clusters = NULL;
    struct pv_engine *engine = NULL;
    struct pv_session *session = NULL;
    enum pv_status status = pv_context_create(NULL, &context);
    if (status == PV_OK)
        status = pv_model_open(argv[1], NULL, &model);
    if (status == PV_OK)
        status = pv_clusters_open(argv[2], NULL, &clusters);
    if (status == PV_OK)
        status = pv_engine_create(context, model, &(struct pv_engine_params){.clusters = clusters}, &engine);
    if (status == PV_OK)
        status = pv_session_create(engine, &(struct pv_session_params){.ffn = PV_FFN_ROUTED}, &session);
    if (status == PV_OK)
        status = watch(session, model, argv[3]);
    if (status != PV_OK)
        fprintf(stderr, "clusters: %s\n", pv_status_name(status));
    pv_session_destroy(session); // all of these take NULL
    pv_engine_destroy(engine);
    pv_clusters_close(clusters);
    pv_model_close(model);
    pv_context_destroy(context);
    return status == PV_OK ? 0 : 1;
}
