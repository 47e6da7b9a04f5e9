/* The oracle of all products: decoded weights, sums in double. */
#include "exec/kernels/blocks.h"
#include "exec/kernels/gemm.h"

enum { CHUNK = 2048 }; /* values decoded at a time: whole blocks of any type */

void gemm_plain(const struct product *product)
{
    const struct tensor *w = &product->w->stored;
    const struct weight_layout *layout = &weight_layouts[w->type];
    float values[CHUNK];
    for (size_t j = 0; j < w->rows; j++)
        for (int i = 0; i < product->m; i++) {
            size_t row = (size_t)(product->rows != NULL ? product->rows[i] : i);
            const float *x = product->x + row * product->x_stride;
            double sum = product->w->bias != NULL ? product->w->bias[j] : 0;
            for (size_t k = 0; k < w->cols; k += CHUNK) {
                size_t n = w->cols - k < CHUNK ? w->cols - k : CHUNK;
                const char *stored = tensor_row(w, j);
                weights_decode(w->type, stored + k / layout->block_values * layout->block_bytes, n, values);
                for (size_t c = 0; c < n; c++)
                    sum += (double)x[k + c] * values[c];
            }
            product->y[(size_t)i * product->y_stride + j] = (float)sum;
        }
}
