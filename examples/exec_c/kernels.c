/* RMSNorm and softmax as an external program in C, with libc only.
 *
 *   make -C examples/exec_c
 *   harness run builtin:ops -k "rmsnorm or softmax" --candidate exec:examples/exec_c/kernels
 *
 * Harness calls `kernels FOLDER`. The program reads FOLDER/request.json and FOLDER/inputs.safetensors and writes
 * FOLDER/outputs.safetensors. It exits with 0 after an answer, with 77 for an op that it does not offer, and with 1
 * after any other problem; the last line on stderr gives the reason. docs/exec.md describes the files. With
 * -DIGNORE_EPS (`kernels_wrong`) the program has a bug that the claims must find.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DIMS 8
#define UNSUPPORTED 77

typedef struct {
    char dtype[8];
    size_t shape[MAX_DIMS], dims, count;
    double *values; /* every dtype is computed in double and rounded once, on writing */
} Tensor;

static void fail(int code, const char *what, const char *which) {
    fprintf(stderr, "%s %s\n", what, which);
    exit(code);
}

static char *read_file(const char *folder, const char *name, size_t *size) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail(1, "cannot read", path);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = calloc(*size + 1, 1); /* one byte more, so that text ends with 0 */
    if (!bytes || fread(bytes, 1, *size, file) != *size) fail(1, "cannot read", path);
    fclose(file);
    return bytes;
}

/* The text behind `"key":`, or NULL. This works because Harness writes JSON without spaces. */
static char *after(char *json, const char *key) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    char *at = json ? strstr(json, quoted) : NULL;
    return at ? at + strlen(quoted) : NULL;
}

static size_t bytes_of(const char *dtype) {
    if (!strcmp(dtype, "F64")) return 8;
    if (!strcmp(dtype, "F32")) return 4;
    if (!strcmp(dtype, "F16") || !strcmp(dtype, "BF16")) return 2;
    fail(UNSUPPORTED, "no arithmetic for dtype", dtype);
    return 0;
}

static double from_half(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double size = exponent == 31  ? (fraction ? NAN : INFINITY)
                  : exponent == 0 ? ldexp(fraction, -24)
                                  : ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 ? -size : size;
}

static double load(const char *dtype, const char *at) {
    double wide;
    float single;
    uint16_t half;
    if (!strcmp(dtype, "F64")) return memcpy(&wide, at, 8), wide;
    if (!strcmp(dtype, "F32")) return memcpy(&single, at, 4), single;
    memcpy(&half, at, 2);
    if (!strcmp(dtype, "F16")) return from_half(half);
    uint32_t bits = (uint32_t)half << 16; /* BF16 is the upper half of an F32 */
    return memcpy(&single, &bits, 4), single;
}

/* Nearest value with `mantissa` stored bits, ties to even, exponents from `least`; infinite beyond `most`. */
static double rounded(double x, int mantissa, int least, double most) {
    if (!isfinite(x) || x == 0) return x;
    int exponent;
    frexp(x, &exponent);
    double quantum = ldexp(1, (exponent - 1 < least ? least : exponent - 1) - mantissa);
    double near = nearbyint(x / quantum) * quantum;
    return fabs(near) > most ? copysign(INFINITY, near) : near;
}

static uint16_t to_half(double x) {
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    double size = fabs(rounded(x, 10, -14, 65504));
    if (isnan(x)) return 0x7e00;
    if (isinf(size)) return sign | 0x7c00;
    if (size < 0x1p-14) return sign | (uint16_t)(size * 0x1p24);
    int exponent;
    double fraction = frexp(size, &exponent);
    return sign | (uint16_t)(((exponent + 14) << 10) + (int)((2 * fraction - 1) * 1024));
}

static void store(const char *dtype, double x, FILE *file) {
    float single = (float)x;
    uint16_t half = to_half(x);
    if (!strcmp(dtype, "F64")) fwrite(&x, 8, 1, file);
    else if (!strcmp(dtype, "F32")) fwrite(&single, 4, 1, file);
    else if (!strcmp(dtype, "F16")) fwrite(&half, 2, 1, file);
    else {
        uint32_t bits;
        single = (float)rounded(x, 7, -126, 0x1.fep127);
        memcpy(&bits, &single, 4);
        half = (uint16_t)(bits >> 16);
        fwrite(&half, 2, 1, file);
    }
}

/* The file: the header's length in eight bytes, the header in JSON, then the data. Offsets count within the data. */
static Tensor read_tensor(const char *folder, const char *name) {
    size_t size;
    char *bytes = read_file(folder, "inputs.safetensors", &size);
    uint64_t length;
    if (size < 8) fail(1, "no safetensors file in", folder);
    memcpy(&length, bytes, 8);
    if (length > size - 8) fail(1, "a header longer than the file in", folder);
    char *header = calloc(length + 1, 1);
    memcpy(header, bytes + 8, length);

    Tensor tensor = {.count = 1};
    char *entry = after(header, name), *dtype = after(entry, "dtype"), *shape = after(entry, "shape");
    char *offsets = after(entry, "data_offsets");
    if (!dtype || !shape || !offsets || sscanf(dtype, "\"%7[^\"]", tensor.dtype) != 1) fail(1, "no tensor", name);
    for (char *at = shape + 1; *at && *at != ']' && tensor.dims < MAX_DIMS; at += *at == ',')
        tensor.count *= tensor.shape[tensor.dims++] = strtoull(at, &at, 10);
    size_t begin = strtoull(offsets + 1, NULL, 10), each = bytes_of(tensor.dtype);
    if (8 + length + begin + tensor.count * each > size) fail(1, "not all the data is there of", name);
    tensor.values = malloc((tensor.count + 1) * sizeof(double));
    for (size_t i = 0; i < tensor.count; i++)
        tensor.values[i] = load(tensor.dtype, bytes + 8 + length + begin + i * each);
    free(header);
    free(bytes);
    return tensor;
}

static void write_tensor(const char *folder, const char *name, const Tensor *tensor) {
    char path[4096], header[1024];
    int used = snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"%s\",\"shape\":[", name, tensor->dtype);
    for (size_t i = 0; i < tensor->dims; i++)
        used += snprintf(header + used, sizeof header - used, "%s%zu", i ? "," : "", tensor->shape[i]);
    used += snprintf(header + used, sizeof header - used, "],\"data_offsets\":[0,%zu]}}",
                     tensor->count * bytes_of(tensor->dtype));
    uint64_t length = (uint64_t)used;
    snprintf(path, sizeof path, "%s/outputs.safetensors", folder);
    FILE *file = fopen(path, "wb");
    if (!file) fail(1, "cannot write", path);
    fwrite(&length, 8, 1, file);
    fwrite(header, 1, length, file);
    for (size_t i = 0; i < tensor->count; i++) store(tensor->dtype, tensor->values[i], file);
    if (fclose(file)) fail(1, "cannot write", path);
}

static void rmsnorm(Tensor *x, const Tensor *weight, double eps) {
    size_t width = weight->count;
    for (double *row = x->values; row < x->values + x->count; row += width) {
        double squares = 0;
        for (size_t i = 0; i < width; i++) squares += row[i] * row[i];
        double scale = 1 / sqrt(squares / width + eps);
        for (size_t i = 0; i < width; i++) row[i] *= scale * weight->values[i];
    }
}

static void softmax(Tensor *x) {
    size_t width = x->shape[x->dims - 1];
    for (double *row = x->values; row < x->values + x->count; row += width) {
        double most = row[0], sum = 0;
        for (size_t i = 1; i < width; i++) most = row[i] > most ? row[i] : most;
        for (size_t i = 0; i < width; i++) sum += row[i] = exp(row[i] - most);
        for (size_t i = 0; i < width; i++) row[i] /= sum;
    }
}

int main(int count, char **words) {
    if (count < 2) fail(1, "expected as last word", "the request folder");
    const char *folder = words[count - 1];
    size_t size;
    char call[64] = "", *request = read_file(folder, "request.json", &size);
    char *named = after(request, "call"), *eps = after(request, "eps");
    if (!named || sscanf(named, "\"%63[^\"]", call) != 1) fail(1, "no call in", "request.json");
    Tensor out;
    if (!strcmp(call, "rmsnorm")) {
        out = read_tensor(folder, "x");
        Tensor weight = read_tensor(folder, "weight");
#ifdef IGNORE_EPS
        rmsnorm(&out, &weight, eps ? 1e-5 : 1e-5);
#else
        rmsnorm(&out, &weight, eps ? strtod(eps, NULL) : 1e-6);
#endif
    } else if (!strcmp(call, "softmax") && !after(request, "axis")) {
        out = read_tensor(folder, "x");
        softmax(&out);
    } else {
        fail(UNSUPPORTED, "here are rmsnorm and softmax along the last axis, not", call);
    }
    write_tensor(folder, "out", &out);
    return 0;
}
