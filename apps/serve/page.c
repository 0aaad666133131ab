/* The page is one constant; what it shows of the model is read from it once, as JSON. */
#include "serve/routes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "viz/web/page.h"

static bool give(const char *bytes, size_t n, struct serve_answer *out, struct serve_error *error)
{
    if (bytes && text_append(&out->text, bytes, n))
        return true;
    serve_error_set(error, 500, "", "the server is out of memory");
    error->type = "server_error";
    return false;
}

bool serve_answer_page(const struct serve_route_input *in, struct serve_answer *out,
                       struct serve_error *error)
{
    (void)in;
    out->type = "text/html; charset=utf-8";
    return give((const char *)pv_page, pv_page_size_bytes, out, error);
}

static json_t *clusters_json(const struct serve_route_input *in)
{
    const struct pv_clusters *clusters = in->setup->clusters;
    struct serve_words *words = serve_worker_words(in->worker);
    if (!clusters)
        return NULL;
    const struct pv_clusters_info *info = pv_clusters_info(clusters);
    json_t *json = json_object();
    char fingerprint[17];
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, info->fingerprint);
    json_put_string(json, "fingerprint", fingerprint);
    json_put_count(json, "n_layers", info->n_layers);
    json_put_count(json, "k", info->n_clusters);
    json_put_number(json, "density", info->density);
    if (words)
        json_put(json, "words", serve_words_json(words, in->setup->model));
    serve_words_destroy(words);
    return json;
}

static json_t *modes_json(const struct pv_clusters *clusters)
{
    json_t *modes = json_array();
    json_array_append_new(modes, json_string("dense"));
    if (clusters)
        json_array_append_new(modes, json_string("masked"));
    return modes;
}

bool serve_answer_about(const struct serve_route_input *in, struct serve_answer *out,
                        struct serve_error *error)
{
    const struct setup *setup = in->setup;
    const struct pv_hparams *info = pv_model_hparams(setup->model);
    json_t *json = json_object();
    json_put_string(json, "name", in->name);
    json_put_count(json, "n_layers", info->n_layers);
    json_put_count(json, "n_ff", info->d_ffn);
    json_put_count(json, "n_vocab", info->n_vocab);
    json_put_count(json, "ctx", pv_engine_n_ctx(setup->engine));
    json_put_string(json, "device", setup->device_names);
    json_put(json, "chat", json_boolean(in->form && pv_model_has_chat_template(setup->model)));
    json_put(json, "clusters", clusters_json(in));
    json_put(json, "modes", modes_json(setup->clusters));
    char *text = json_dumps(json, JSON_COMPACT);
    const bool good = give(text, text ? strlen(text) : 0, out, error);
    free(text);
    json_decref(json);
    return good;
}
