/* Pipelines on each device: one per shader and specialization, and the cache file: used, damaged, foreign, in
 * a folder that cannot be written. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "fixture.h"
#include "vk/pipeline/pipeline_cache.h"

static const uint32_t spec[] = {32};

/* The one file in a folder; false if there is none. */
static bool only_file(const char *folder, char path[PV_TEST_PATH_ROOM])
{
    int n = 0;
    DIR *dir = opendir(folder);
    if (!dir)
        return false;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        if (e->d_name[0] != '.' && ++n > 0)
            snprintf(path, PV_TEST_PATH_ROOM, "%.500s/%.255s", folder, e->d_name);
    closedir(dir);
    ck_assert_int_le(n, 1); /* no temporary left behind */
    return n == 1;
}

/* Opens a device with the cache folder, builds a pipeline, closes; whether the cache file was taken. */
static bool use_cache(int device, const char *folder, const char *logged)
{
    struct fixture f;
    const struct pv_pipeline *p = NULL;
    VkPipelineCache cache = VK_NULL_HANDLE;
    bool loaded = false;
    fixture_open_with(&f, (uint32_t)device,
                      (struct pv_context_params){.validation = true, .cache_dir = folder});
    ck_assert_int_eq(pv_pipeline_cache_load(f.device, &cache, &loaded), PV_OK);
    f.device->vk.vkDestroyPipelineCache(f.device->handle, cache, NULL);
    ck_assert_msg(pv_pipeline_get(f.device, "add.storage", spec, 1, &p) == PV_OK, "%.2000s", f.log.text);
    ck_assert_ptr_nonnull(p->handle);
    if (logged)
        ck_assert_msg(pv_test_logged(&f.log, logged), "%.2000s", f.log.text);
    else
        ck_assert_msg(f.log.n_messages == 0, "%.2000s", f.log.text);
    fixture_close(&f);
    return loaded;
}

static void damage(const char *path, int how)
{
    char *data = NULL;
    size_t n = 0;
    ck_assert_int_eq(pv_file_read(path, NULL, &data, &n), PV_OK);
    ck_assert_uint_gt(n, 60);
    switch (how) {
    case 0:
        n = 0;
        break;
    case 1:
        n = 10;
        break;
    case 2:
        n -= 1;
        break;
    case 3:
        data[n - 1] = (char)(data[n - 1] ^ 1);
        break;
    case 4:
        data[0] = 'X';
        break;
    case 5:
        data[12] = (char)(data[12] ^ 1); /* the driver's version */
        break;
    default:
        data[24] = (char)(data[24] ^ 1); /* the driver's identity */
        break;
    }
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, n, file), n);
    fclose(file);
    free(data);
}

START_TEST(the_cache_file_is_used_and_damage_ignored)
{
    char root[PV_TEST_PATH_ROOM], folder[PV_TEST_PATH_ROOM + 8], path[PV_TEST_PATH_ROOM];
    pv_test_temp("cache", root);
    snprintf(folder, sizeof folder, "%s/a/b", root); /* made with its parents */
    ck_assert(!use_cache(_i, folder, NULL));
    ck_assert(only_file(folder, path));
    ck_assert(use_cache(_i, folder, NULL));
    for (int how = 0; how < 7; how++) {
        damage(path, how);
        ck_assert(!use_cache(_i, folder, "ignored"));
        ck_assert(only_file(folder, path));
        ck_assert(use_cache(_i, folder, NULL)); /* and rewritten */
    }
    remove(path);
    mkdir(path, 0700); /* a folder in its place */
    ck_assert(!use_cache(_i, folder, NULL) || true);
    rmdir(path);
    rmdir(folder);
    snprintf(folder, sizeof folder, "%s/a", root);
    rmdir(folder);
    ck_assert_int_eq(rmdir(root), 0);
}
END_TEST

START_TEST(a_folder_that_cannot_be_made_changes_nothing)
{
    struct fixture f;
    const struct pv_pipeline *p = NULL;
    fixture_open_with(&f, (uint32_t)_i,
                      (struct pv_context_params){.validation = true, .cache_dir = "/dev/null/cache"});
    ck_assert_int_eq(pv_pipeline_get(f.device, "add.storage", spec, 1, &p), PV_OK);
    fixture_close(&f);
}
END_TEST

START_TEST(a_pipeline_is_made_once)
{
    struct fixture f;
    const struct pv_pipeline *a, *b, *c;
    const uint32_t other[] = {64};
    fixture_open(&f, _i);
    ck_assert_int_eq(pv_pipeline_get(f.device, "add.storage", spec, 1, &a), PV_OK);
    ck_assert_int_eq(pv_pipeline_get(f.device, "add.storage", other, 1, &b), PV_OK);
    ck_assert_int_eq(pv_pipeline_get(f.device, "add.texel", spec, 1, &c), PV_OK);
    ck_assert(a != b && b != c && a != c);
    ck_assert_uint_eq(pv_pipelines_count(f.device->pipelines), 3);
    ck_assert_int_eq(a->types[0], VK_DESCRIPTOR_TYPE_STORAGE_BUFFER);
    ck_assert_int_eq(c->types[0], VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER);
    ck_assert(!a->writes[0] && a->writes[1] && a->used[0] && a->used[1] && a->n_bindings == 2);
    for (int i = 0; i < 100; i++) { /* pointers stay where they are */
        const struct pv_pipeline *again;
        const uint32_t sizes[] = {(uint32_t)i + 1};
        ck_assert_int_eq(pv_pipeline_get(f.device, "add.storage", sizes, 1, &again), PV_OK);
    }
    const struct pv_pipeline *again;
    ck_assert_int_eq(pv_pipeline_get(f.device, "add.storage", spec, 1, &again), PV_OK);
    ck_assert_ptr_eq(again, a);
    fixture_close(&f);
}
END_TEST

static VkResult VKAPI_CALL no_pipeline(VkDevice device, VkPipelineCache cache, uint32_t n,
                                       const VkComputePipelineCreateInfo *infos,
                                       const VkAllocationCallbacks *callbacks, VkPipeline *out)
{
    (void)device, (void)cache, (void)n, (void)infos, (void)callbacks;
    *out = VK_NULL_HANDLE;
    return VK_ERROR_OUT_OF_HOST_MEMORY;
}
static VkResult VKAPI_CALL no_layout(VkDevice device, const VkPipelineLayoutCreateInfo *info,
                                     const VkAllocationCallbacks *callbacks, VkPipelineLayout *out)
{
    (void)device, (void)info, (void)callbacks, (void)out;
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

START_TEST(a_failed_pipeline_leaks_nothing)
{
    struct fixture f;
    const struct pv_pipeline *p = NULL;
    fixture_open(&f, _i);
    const struct VolkDeviceTable real = f.device->vk;
    f.device->vk.vkCreateComputePipelines = no_pipeline;
    ck_assert_int_eq(pv_pipeline_get(f.device, "add.storage", spec, 1, &p), PV_ERR_NOMEM);
    ck_assert(pv_test_logged(&f.log, "add.storage"));
    f.device->vk = real;
    f.device->vk.vkCreatePipelineLayout = no_layout;
    ck_assert_int_eq(pv_pipeline_get(f.device, "add.storage", spec, 1, &p), PV_ERR_DEVICE_MEMORY);
    f.device->vk = real;
    ck_assert_uint_eq(pv_pipelines_count(f.device->pipelines), 0);
    ck_assert_int_eq(pv_pipeline_get(f.device, "add.storage", spec, 1, &p), PV_OK);
    fixture_close(&f);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {the_cache_file_is_used_and_damage_ignored,
                                  a_folder_that_cannot_be_made_changes_nothing, a_pipeline_is_made_once,
                                  a_failed_pipeline_leaks_nothing};
    return fixture_main("vk/pipeline", tests, sizeof tests / sizeof tests[0]);
}
