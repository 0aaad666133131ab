#include <parvin/parvin.h>
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) // MODEL.gguf PROMPT
{
    struct pv_context *gpus; struct pv_model *model; struct pv_engine *engine; struct pv_session *session;
    uint32_t *tokens; size_t n; const char *text;
    if (argc != 3 || pv_context_create(NULL, &gpus) || pv_model_open(argv[1], NULL, &model) ||
        pv_engine_create(gpus, model, NULL, &engine) || pv_session_create(engine, NULL, &session) || pv_encode(model,
        argv[2], strlen(argv[2]), &(struct pv_encode_params){.add_bos = pv_model_wants_bos(model)}, &tokens, &n) ||
        pv_session_prefill(session, tokens, n))
        return 1;
    for (uint32_t i = 0, token; i < 32 && !pv_session_decode(session, token = pv_session_argmax(session)); i++)
        n = pv_token_bytes(model, token, 0, &text), fwrite(text, 1, n, stdout);
}
