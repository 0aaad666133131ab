/* parvin devices --place: what a model takes, which devices have room for it, and the split that would be
 * chosen. Nothing of the model is loaded. */
#include "commands/devices_place.h"

#include "cli/output.h"

struct placing {
    struct setup *setup;
    const char *path;
    struct pv_placement alone[SETUP_DEVICES_MAX]; /* each device by itself */
    struct pv_placement together;                 /* n_devices 0: there is one device only */
};

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static const char *name_of(const struct placing *f, uint32_t device)
{
    return pv_context_device_info(f->setup->context, device)->name;
}

static uint64_t used_bytes(const struct pv_placement_device *d)
{
    return d->layer_bytes + d->other_bytes + d->kv_bytes + d->scratch_bytes;
}

/* Every usable device, where none is named. */
static enum pv_status choose_devices(struct app *app, struct setup *setup)
{
    if (setup->device_options->devices)
        return setup_devices(app, setup);
    for (uint32_t i = 0; i < pv_context_n_devices(setup->context); i++)
        if (pv_context_device_info(setup->context, i)->usable && setup->n_devices < SETUP_DEVICES_MAX)
            setup->devices[setup->n_devices++] = i;
    if (setup->n_devices > 0)
        return setup->device_options->split ? setup_devices(app, setup) : PV_OK;
    return pv_context_find_device(setup->context, NULL, &setup->devices[0]); /* says why there is none */
}

static enum pv_status place(struct placing *f)
{
    struct setup *setup = f->setup;
    struct pv_engine_params params = setup_engine_params(setup), one = params;
    enum pv_status status = PV_OK;
    one.n_devices = 1;
    one.split = NULL;
    for (uint32_t i = 0; !status && i < setup->n_devices; i++) {
        one.devices = &setup->devices[i];
        status = pv_place(setup->context, setup->model, &one, &f->alone[i]);
    }
    if (params.n_devices > pv_model_hparams(setup->model)->n_layers)
        params.n_devices = pv_model_hparams(setup->model)->n_layers;
    if (!status && params.n_devices > 1)
        status = pv_place(setup->context, setup->model, &params, &f->together);
    return status;
}

static json_t *placement_json(const struct placing *f, const struct pv_placement *p)
{
    json_t *object = json_object(), *list = json_array();
    json_put(object, "fits", json_boolean(p->fits));
    json_put_count(object, "max_ctx", p->max_ctx);
    for (uint32_t i = 0; i < p->n_devices; i++) {
        const struct pv_placement_device *d = &p->devices[i];
        json_t *row = json_object();
        json_put_count(row, "index", d->device);
        json_put_string(row, "device", name_of(f, d->device));
        json_put_count(row, "first_layer", d->first_layer);
        json_put_count(row, "layers", d->n_layers);
        json_put_count(row, "room_layers", d->room);
        json_put_count(row, "layer_bytes", d->layer_bytes);
        json_put_count(row, "embedding_and_output_bytes", d->other_bytes);
        json_put_count(row, "kv_bytes", d->kv_bytes);
        json_put_count(row, "scratch_bytes", d->scratch_bytes);
        json_put_count(row, "free_bytes", d->free_bytes);
        json_put(row, "free_is_budget", json_boolean(d->free_is_budget));
        json_put_number(row, "gb_s", d->bytes_per_s * 1e-9);
        json_array_append_new(list, row);
    }
    json_put(object, "devices", list);
    return object;
}

static int print_json(struct app *app, const struct placing *f)
{
    const struct pv_placement *p = &f->alone[0];
    json_t *object = json_object(), *alone = json_array();
    json_put_string(object, "model", f->path);
    json_put_count(object, "layers", p->n_layers);
    json_put_count(object, "ctx", p->n_ctx);
    json_put_count(object, "layer_bytes", p->layer_bytes);
    json_put_count(object, "kv_layer_bytes", p->kv_layer_bytes);
    for (uint32_t i = 0; i < f->setup->n_devices; i++)
        json_array_append_new(alone, placement_json(f, &f->alone[i]));
    json_put(object, "alone", alone);
    if (f->together.n_devices)
        json_put(object, "together", placement_json(f, &f->together));
    return json_finish(&app->console, object);
}

static void print_device(const struct placing *f, const struct pv_placement *p, uint32_t i)
{
    const struct pv_placement_device *d = &p->devices[i];
    printf("  %u  %s, %.1f MiB free%s\n", d->device, name_of(f, d->device), mib(d->free_bytes),
           d->free_is_budget ? "" : " (the driver gives no budget)");
    if (p->fits)
        printf("     layers %u to %u: %.1f MiB weights, %.1f embedding and output, %.1f KV, %.1f scratch: "
               "%.1f MiB",
               d->first_layer, d->first_layer + d->n_layers - 1, mib(d->layer_bytes), mib(d->other_bytes),
               mib(d->kv_bytes), mib(d->scratch_bytes), mib(used_bytes(d)));
    else
        printf("     room for %u of %u layers beside %.1f MiB embedding and output and %.1f scratch", d->room,
               p->n_layers, mib(d->other_bytes), mib(d->scratch_bytes));
    if (d->bytes_per_s > 0)
        printf("; %.1f GB/s", d->bytes_per_s * 1e-9);
    putchar('\n');
}

static void print_fit(const struct pv_placement *p, const char *fits, const char * not )
{
    if (p->max_ctx)
        printf("%s; the longest context that fits: %u\n", p->fits ? fits : not, p->max_ctx);
    else
        printf("%s\n", p->fits ? fits : not );
}

static int print_text(const struct placing *f)
{
    const struct pv_placement *p = &f->alone[0];
    printf("%s: %u layers of up to %.1f MiB, and %.1f MiB of KV cache each at a context of %u\n", f->path,
           p->n_layers, mib(p->layer_bytes), mib(p->kv_layer_bytes), p->n_ctx);
    for (uint32_t i = 0; i < f->setup->n_devices; i++) {
        print_fit(&f->alone[i], "fits one device", "does not fit one device");
        print_device(f, &f->alone[i], 0);
    }
    if (!f->together.n_devices)
        return EXIT_GOOD;
    print_fit(&f->together, "split over all of these", "does not fit all of these together");
    for (uint32_t i = 0; i < f->together.n_devices; i++)
        print_device(f, &f->together, i);
    return EXIT_GOOD;
}

int devices_place(struct app *app, const char *path, struct setup *setup)
{
    struct placing f = {.setup = setup, .path = path};
    enum pv_status status = setup_model(app, path, setup);
    if (!status)
        status = setup_clusters(app, setup->model_options->clusters_path, setup);
    if (!status)
        status = setup_context(app, setup);
    if (!status)
        status = choose_devices(app, setup);
    if (!status)
        status = place(&f);
    int code = app_fail(app, status);
    if (!code)
        code = app->common->json ? print_json(app, &f) : print_text(&f);
    status = setup_close(app, setup);
    return code ? code : app_fail(app, status);
}
