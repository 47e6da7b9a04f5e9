#include "other_gemm.h"

#include <dlfcn.h>
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Matrices are in the order of C everywhere; w is turned. */
struct operands {
    size_t m, n, k;
    void *x, *w, *y;
};

/* Calls a library's function, found under the name. */
typedef void run_function(void *function, const struct operands *o);

static void run_openblas(void *function, const struct operands *o)
{
    enum { ROW_MAJOR = 101, AS_IS = 111, TURNED = 112 };
    void (*sgemm)(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *,
                  int);
    int m = (int)o->m, n = (int)o->n, k = (int)o->k;
    memcpy(&sgemm, &function, sizeof sgemm);
    sgemm(ROW_MAJOR, AS_IS, TURNED, m, n, k, 1, o->x, k, o->w, k, 0, o->y, n);
}

static void run_onednn_f32(void *function, const struct operands *o)
{
    int (*gemm)(char, char, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t,
                float, float *, int64_t);
    int64_t m = (int64_t)o->m, n = (int64_t)o->n, k = (int64_t)o->k;
    memcpy(&gemm, &function, sizeof gemm);
    gemm('N', 'T', m, n, k, 1, o->x, k, o->w, k, 0, o->y, n);
}

static void run_onednn_bf16(void *function, const struct operands *o)
{
    int (*gemm)(char, char, int64_t, int64_t, int64_t, float, const uint16_t *, int64_t, const uint16_t *,
                int64_t, float, float *, int64_t);
    int64_t m = (int64_t)o->m, n = (int64_t)o->n, k = (int64_t)o->k;
    memcpy(&gemm, &function, sizeof gemm);
    gemm('N', 'T', m, n, k, 1, o->x, k, o->w, k, 0, o->y, n);
}

static void run_onednn_int8(void *function, const struct operands *o)
{
    int (*gemm)(char, char, char, int64_t, int64_t, int64_t, float, const uint8_t *, int64_t, uint8_t,
                const int8_t *, int64_t, int8_t, float, int32_t *, int64_t, const int32_t *);
    int64_t m = (int64_t)o->m, n = (int64_t)o->n, k = (int64_t)o->k;
    const int32_t offset = 0;
    memcpy(&gemm, &function, sizeof gemm);
    gemm('N', 'T', 'F', m, n, k, 1, o->x, k, 0, o->w, k, 0, 0, o->y, n, &offset);
}

static const struct other {
    const char *name, *library, *function, *set_threads; /* NULL: OpenMP's number counts */
    run_function *run;
} others[OTHER_GEMM_COUNT] = {
    [OPENBLAS_F32] = {"OpenBLAS fp32", "libopenblas.so.0", "cblas_sgemm", "openblas_set_num_threads",
                      run_openblas},
    [ONEDNN_F32] = {"oneDNN fp32", "libdnnl.so.2", "dnnl_sgemm", NULL, run_onednn_f32},
    [ONEDNN_BF16] = {"oneDNN bf16", "libdnnl.so.2", "dnnl_gemm_bf16bf16f32", NULL, run_onednn_bf16},
    [ONEDNN_INT8] = {"oneDNN int8", "libdnnl.so.2", "dnnl_gemm_u8s8s32", NULL, run_onednn_int8},
};

const char *other_gemm_name(enum other_gemm other)
{
    return others[other].name;
}

static bool use_threads(const struct other *other, void *library, int threads)
{
    omp_set_num_threads(threads);
    if (other->set_threads == NULL)
        return true;
    void *symbol = dlsym(library, other->set_threads);
    void (*set)(int);
    memcpy(&set, &symbol, sizeof set);
    if (symbol != NULL)
        set(threads);
    return symbol != NULL;
}

static void *filled(size_t values)
{
    enum { A_NUMBER = 0x3f }; /* in each type: 0.75 and 63 */
    void *memory = buffer_new(&(struct diag){0}, values * sizeof(float));
    if (memory != NULL)
        memset(memory, A_NUMBER, values * sizeof(float));
    return memory;
}

double other_gemm_rate(enum other_gemm other, struct team *team, size_t m, size_t n, size_t k, int rounds)
{
    const struct other *found = &others[other];
    void *library = dlopen(found->library, RTLD_NOW); /* stays loaded: its threads do */
    void *function = library != NULL ? dlsym(library, found->function) : NULL;
    struct operands o = {m, n, k, filled(m * k), filled(n * k), filled(m * n)};
    double best = HUGE_VAL;
    if (function != NULL && use_threads(found, library, team_threads(team)) && o.x != NULL && o.w != NULL &&
        o.y != NULL)
        for (int round = 0; round <= rounds; round++) {
            double begin = clock_seconds();
            found->run(function, &o);
            best = round > 0 ? fmin(best, clock_seconds() - begin) : best;
        }
    buffer_free(o.x, m * k * sizeof(float));
    buffer_free(o.w, n * k * sizeof(float));
    buffer_free(o.y, m * n * sizeof(float));
    return 2.0 * (double)m * (double)n * (double)k / best;
}
