/* What every address needs to answer. */
#include "serve/routes.h"

#include <stdlib.h>
#include <string.h>

bool serve_fail_memory(struct serve_error *error)
{
    serve_error_set(error, 500, "", "the server is out of memory");
    error->type = "server_error";
    return false;
}

bool serve_give_json(json_t *json, struct serve_answer *out, struct serve_error *error)
{
    char *dumped = json_dumps(json, JSON_COMPACT);
    const bool good = dumped && text_append(&out->text, dumped, strlen(dumped));
    free(dumped);
    json_decref(json);
    return good || serve_fail_memory(error);
}
