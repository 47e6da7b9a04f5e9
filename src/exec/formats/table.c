#include "exec/formats/table.h"

#include "base/memory.h"
#include "exec/formats/roles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool weights_error(const struct weights *weights, struct diag *diag, const char *format, ...)
{
    char message[1000];
    va_list arguments;
    va_start(arguments, format);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start is the line above
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return diag_error(diag, (struct source_location){weights->path, 0, 0}, "%s", message);
}

struct weights *weights_table_new(struct arena *arena, struct diag *diag, const char *path)
{
    struct weights *weights = ARENA_NEW(arena, struct weights);
    const char *copy = arena_strdup(arena, path);
    if (weights == NULL || copy == NULL) {
        diag_error(diag, (struct source_location){path, 0, 0}, "out of memory");
        return NULL;
    }
    *weights = (struct weights){.arena = arena, .path = copy, .hyper = hyper_default()};
    return weights;
}

bool weights_table_slots(struct weights *weights, struct diag *diag)
{
    size_t layers = weights->model.layers > 0 ? (size_t)weights->model.layers : 1;
    weights->slots = ARENA_ARRAY(weights->arena, struct weights_slot, layers * ROLE_COUNT);
    return weights->slots != NULL || weights_error(weights, diag, "out of memory");
}

struct weights_slot *weights_slot(const struct weights *weights, enum tensor_role role, int layer)
{
    int layers = weights->model.layers > 0 ? weights->model.layers : 1;
    if (layer < 0 || layer >= layers || (int)role < 0 || role >= ROLE_COUNT)
        return NULL;
    return &weights->slots[(size_t)layer * ROLE_COUNT + role];
}

bool weights_put(struct weights *weights, struct diag *diag, enum tensor_role role, int layer, int part,
                 size_t part_count, const struct tensor *tensor)
{
    struct weights_slot *slot = weights_slot(weights, role, layer);
    if (slot == NULL)
        return weights_error(weights, diag, "%s: layer %d is not one of the model's", tensor->name, layer);
    weights->bytes += (double)tensor->rows * (double)weight_row_bytes(tensor->type, tensor->cols);
    if (part < 0) {
        slot->tensor = *tensor;
        return true;
    }
    if (slot->parts == NULL) {
        slot->parts = ARENA_ARRAY(weights->arena, struct tensor, part_count);
        slot->part_count = part_count;
    }
    if (slot->parts == NULL || (size_t)part >= slot->part_count)
        return weights_error(weights, diag, "%s: %s", tensor->name,
                             slot->parts == NULL ? "out of memory" : "more experts than the model has");
    slot->parts[part] = *tensor;
    return true;
}

struct check {
    const struct weights *weights;
    struct diag *diag;
};

static bool check_one(void *context, const struct role_shape *shape)
{
    const struct check *check = context;
    struct tensor tensor;
    return weights_need(check->weights, check->diag, shape->role, shape->layer, shape->part, shape->rows,
                        shape->cols, &tensor);
}

bool weights_check(const struct weights *weights, struct diag *diag)
{
    struct check check = {weights, diag};
    return model_roles(&weights->model, weights->path, diag, check_one, &check);
}

/* ---- memory ---- */

static bool add_region(struct weights *weights, struct diag *diag, void *data, size_t bytes, bool of_file)
{
    struct weights_region *region = ARENA_NEW(weights->arena, struct weights_region);
    if (region == NULL) {
        munmap(data, bytes);
        return weights_error(weights, diag, "out of memory");
    }
    *region = (struct weights_region){data, bytes, of_file, weights->regions};
    weights->regions = region;
    return true;
}

void *weights_memory(struct weights *weights, struct diag *diag, size_t bytes)
{
    double available = memory_available();
    if ((double)bytes > available) {
        weights_error(weights, diag, "the weights take %.3g GB, and %.3g GB of memory are available",
                      (double)bytes / 1e9, available / 1e9);
        return NULL;
    }
    size_t size = bytes > 0 ? bytes : 1;
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
        weights_error(weights, diag, "out of memory: the weights take %.3g GB", (double)bytes / 1e9);
        return NULL;
    }
    madvise(data, size, MADV_HUGEPAGE); /* a wish: fewer page faults and misses of the TLB */
    return add_region(weights, diag, data, size, false) ? data : NULL;
}

static bool system_error(struct diag *diag, const char *path, const char *what)
{
    char buffer[128];
    return diag_error(diag, (struct source_location){path, 0, 0}, "%s: %s", what,
                      strerror_r(errno, buffer, sizeof buffer));
}

static void *map(struct diag *diag, const char *path, int file, size_t *bytes)
{
    struct stat status;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
        diag_error(diag, (struct source_location){path, 0, 0}, "not a regular file");
        return NULL;
    }
    if (status.st_size == 0) {
        diag_error(diag, (struct source_location){path, 0, 0}, "the file is empty");
        return NULL;
    }
    *bytes = (size_t)status.st_size;
    void *data = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (data == MAP_FAILED) {
        system_error(diag, path, "cannot map");
        return NULL;
    }
    return data;
}

const char *weights_map(struct weights *weights, struct diag *diag, const char *path, size_t *bytes)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us */
    if (file < 0) {
        system_error(diag, path, "cannot open");
        return NULL;
    }
    void *data = map(diag, path, file, bytes);
    close(file);
    return data != NULL && add_region(weights, diag, data, *bytes, true) ? data : NULL;
}
