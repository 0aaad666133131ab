/* Tests a Vulkan device: device [NUMBER|UUID|NAME [FILTER]]. Runs the small cases of every kernel against the CPU reference and
 * prints those that fail. */
#include <parvin/parvin.h>
#include <stdio.h>

static void print_log(void *user, enum pv_log_level level, const char *message)
{
    (void)user, (void)level;
    fprintf(stderr, "%s\n", message);
}

static void print_failure(void *user, const struct pv_conform_row *row)
{
    (void)user;
    if (!row->passed && !row->skipped)
        printf("FAILED %s %s: error %g, at most %g allowed; %s\n", row->kernel, row->name, row->error,
               row->tolerance, row->detail);
}

int main(int argc, char **argv)
{
    const struct pv_context_params params = {.log = {.fn = print_log, .max_level = PV_LOG_WARN}};
    struct pv_context *context = NULL;
    uint32_t device = 0;
    struct pv_conform_result result = {0};
    enum pv_status status = pv_context_create(&params, &context);
    if (status == PV_OK)
        status = pv_context_find_device(context, argc > 1 ? argv[1] : NULL, &device);
    if (status == PV_OK) {
        printf("%s\n", pv_context_device_info(context, device)->name);
        status = pv_conform(context, device,
                            &(struct pv_conform_params){.quick = true, .filter = argc > 2 ? argv[2] : NULL},
                            print_failure, NULL, &result);
    }
    if (status == PV_OK)
        printf("%u passed, %u failed, %u skipped\n", result.n_passed, result.n_failed, result.n_skipped);
    pv_context_destroy(context);
    return status == PV_OK && result.n_failed == 0 ? 0 : 1;
}
