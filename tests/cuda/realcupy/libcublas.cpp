// The matrix products of cuBLAS that CuPy's matmul, dot, tensordot and einsum call, in float and double, as plain loops.
// Every operand must lie in one array on the device.  Matrices are stored by columns.
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))
typedef int Status;
enum { SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum { FLOAT = 0, DOUBLE = 1 };                          // cudaDataType
struct Handle { int pointer_mode, math_mode; };

static bool inside(const void* address, size_t bytes) {
  static auto ask = (int (*)(const void*, size_t))dlsym(RTLD_DEFAULT, "emulated_inside");
  return bytes == 0 || (ask && ask(address, bytes));
}

// A matrix of `rows` x `columns` whose columns begin `step` numbers apart lies in one array.
template <class T> static bool matrix_inside(const T* a, int rows, int columns, int step) {
  return rows == 0 || columns == 0 || inside(a, ((size_t)(columns - 1) * step + rows) * sizeof(T));
}

template <class T> static bool vector_inside(const T* x, int n, int step) {
  return n == 0 || inside(x, ((size_t)(n - 1) * abs(step) + 1) * sizeof(T));
}

// c (m, n) = alpha * op(a) (m, k) @ op(b) (k, n) + beta * c; op transposes if ta, tb.  What beta 0 multiplies is not read.
template <class T>
static Status gemm(int ta, int tb, int m, int n, int k, T alpha, const T* a, int lda, const T* b, int ldb, T beta, T* c,
                   int ldc) {
  const int a_rows = ta ? k : m, a_columns = ta ? m : k, b_rows = tb ? n : k, b_columns = tb ? k : n;
  if (m < 0 || n < 0 || k < 0 || lda < (a_rows ? a_rows : 1) || ldb < (b_rows ? b_rows : 1) || ldc < (m ? m : 1))
    return INVALID_VALUE;
  if (!matrix_inside(a, a_rows, a_columns, lda) || !matrix_inside(b, b_rows, b_columns, ldb) || !matrix_inside(c, m, n, ldc))
    return EXECUTION_FAILED;
  std::vector<T> packed((size_t)m * k), column(m);       // op(a), by columns
  for (int p = 0; p < k; p++)
    for (int i = 0; i < m; i++)
      packed[(size_t)p * m + i] = ta ? a[(size_t)i * lda + p] : a[(size_t)p * lda + i];
  for (int j = 0; j < n; j++) {
    column.assign(m, 0);
    for (int p = 0; p < k; p++) {
      const T factor = tb ? b[(size_t)p * ldb + j] : b[(size_t)j * ldb + p];
      const T* from = packed.data() + (size_t)p * m;
      for (int i = 0; i < m; i++)
        column[i] += from[i] * factor;
    }
    T* to = c + (size_t)j * ldc;
    for (int i = 0; i < m; i++)
      to[i] = alpha * column[i] + (beta == 0 ? 0 : beta * to[i]);
  }
  return SUCCESS;
}

// y = alpha * op(a) @ x + beta * y, where a is (m, n).
template <class T>
static Status gemv(int ta, int m, int n, T alpha, const T* a, int lda, const T* x, int step_x, T beta, T* y, int step_y) {
  const int outputs = ta ? n : m, inputs = ta ? m : n;
  if (m < 0 || n < 0 || lda < (m ? m : 1) || step_x < 1 || step_y < 1)
    return INVALID_VALUE;
  if (!matrix_inside(a, m, n, lda) || !vector_inside(x, inputs, step_x) || !vector_inside(y, outputs, step_y))
    return EXECUTION_FAILED;
  for (int i = 0; i < outputs; i++) {
    T sum = 0;
    for (int j = 0; j < inputs; j++)
      sum += (ta ? a[(size_t)i * lda + j] : a[(size_t)j * lda + i]) * x[(size_t)j * step_x];
    T& to = y[(size_t)i * step_y];
    to = alpha * sum + (beta == 0 ? 0 : beta * to);
  }
  return SUCCESS;
}

template <class T> static Status dot(int n, const T* x, int step_x, const T* y, int step_y, T* result) {
  if (step_x < 0 || step_y < 0)
    return NOT_SUPPORTED;
  if (!vector_inside(x, n, step_x) || !vector_inside(y, n, step_y))
    return EXECUTION_FAILED;
  double sum = 0;
  for (int i = 0; i < n; i++)
    sum += (double)x[(size_t)i * step_x] * y[(size_t)i * step_y];
  *result = (T)sum;
  return SUCCESS;
}

template <class T>
static Status ger(int m, int n, T alpha, const T* x, int step_x, const T* y, int step_y, T* a, int lda) {
  if (!vector_inside(x, m, step_x) || !vector_inside(y, n, step_y) || !matrix_inside(a, m, n, lda))
    return EXECUTION_FAILED;
  for (int j = 0; j < n; j++)
    for (int i = 0; i < m; i++)
      a[(size_t)j * lda + i] += alpha * x[(size_t)i * step_x] * y[(size_t)j * step_y];
  return SUCCESS;
}

// ---- the names of cuBLAS

EXPORT Status cublasCreate_v2(Handle** handle) { return *handle = new Handle{}, SUCCESS; }
EXPORT Status cublasDestroy_v2(Handle* handle) { return delete handle, SUCCESS; }
EXPORT Status cublasGetVersion_v2(Handle*, int* version) { return *version = 130200, SUCCESS; }
EXPORT Status cublasSetStream_v2(Handle*, void*) { return SUCCESS; }
EXPORT Status cublasGetStream_v2(Handle*, void** stream) { return *stream = nullptr, SUCCESS; }
EXPORT Status cublasSetPointerMode_v2(Handle* handle, int mode) { return handle->pointer_mode = mode, SUCCESS; }
EXPORT Status cublasGetPointerMode_v2(Handle* handle, int* mode) { return *mode = handle->pointer_mode, SUCCESS; }
EXPORT Status cublasSetMathMode(Handle* handle, int mode) { return handle->math_mode = mode, SUCCESS; }
EXPORT Status cublasGetMathMode(Handle* handle, int* mode) { return *mode = handle->math_mode, SUCCESS; }

#define FOR_BOTH(F) F(S, float) F(D, double)

#define GEMM(L, T) \
  EXPORT Status cublas##L##gemm_v2(Handle*, int ta, int tb, int m, int n, int k, const T* alpha, const T* a, int lda, \
                                   const T* b, int ldb, const T* beta, T* c, int ldc) { \
    return gemm<T>(ta, tb, m, n, k, *alpha, a, lda, b, ldb, *beta, c, ldc); }
FOR_BOTH(GEMM)

#define GEMM_STRIDED(L, T) \
  EXPORT Status cublas##L##gemmStridedBatched(Handle*, int ta, int tb, int m, int n, int k, const T* alpha, const T* a, \
                                              int lda, long long step_a, const T* b, int ldb, long long step_b, \
                                              const T* beta, T* c, int ldc, long long step_c, int count) { \
    for (int i = 0; i < count; i++) \
      if (Status status = gemm<T>(ta, tb, m, n, k, *alpha, a + i * step_a, lda, b + i * step_b, ldb, *beta, \
                                  c + i * step_c, ldc)) \
        return status; \
    return SUCCESS; }
FOR_BOTH(GEMM_STRIDED)

#define GEMM_BATCHED(L, T) \
  EXPORT Status cublas##L##gemmBatched(Handle*, int ta, int tb, int m, int n, int k, const T* alpha, const T** a, int lda, \
                                       const T** b, int ldb, const T* beta, T** c, int ldc, int count) { \
    for (int i = 0; i < count; i++) \
      if (Status status = gemm<T>(ta, tb, m, n, k, *alpha, a[i], lda, b[i], ldb, *beta, c[i], ldc)) \
        return status; \
    return SUCCESS; }
FOR_BOTH(GEMM_BATCHED)

#define GEMV(L, T) \
  EXPORT Status cublas##L##gemv_v2(Handle*, int ta, int m, int n, const T* alpha, const T* a, int lda, const T* x, \
                                   int step_x, const T* beta, T* y, int step_y) { \
    return gemv<T>(ta, m, n, *alpha, a, lda, x, step_x, *beta, y, step_y); }
FOR_BOTH(GEMV)

#define DOT(L, T) \
  EXPORT Status cublas##L##dot_v2(Handle*, int n, const T* x, int step_x, const T* y, int step_y, T* result) { \
    return dot<T>(n, x, step_x, y, step_y, result); }
FOR_BOTH(DOT)

#define GER(L, T) \
  EXPORT Status cublas##L##ger_v2(Handle*, int m, int n, const T* alpha, const T* x, int step_x, const T* y, int step_y, \
                                  T* a, int lda) { \
    return ger<T>(m, n, *alpha, x, step_x, y, step_y, a, lda); }
FOR_BOTH(GER)

EXPORT Status cublasGemmStridedBatchedEx(Handle* handle, int ta, int tb, int m, int n, int k, const void* alpha,
                                         const void* a, int type_a, int lda, long long step_a,
                                         const void* b, int type_b, int ldb, long long step_b, const void* beta,
                                         void* c, int type_c, int ldc, long long step_c, int count, int, int) {
  if (type_a != type_b || type_a != type_c)
    return NOT_SUPPORTED;
#define CALL(L, T) cublas##L##gemmStridedBatched(handle, ta, tb, m, n, k, (const T*)alpha, (const T*)a, lda, step_a, \
                                                 (const T*)b, ldb, step_b, (const T*)beta, (T*)c, ldc, step_c, count)
  return type_a == FLOAT ? CALL(S, float) : type_a == DOUBLE ? CALL(D, double) : (Status)NOT_SUPPORTED;
}

EXPORT Status cublasGemmEx(Handle* handle, int ta, int tb, int m, int n, int k, const void* alpha,
                           const void* a, int type_a, int lda, const void* b, int type_b, int ldb, const void* beta,
                           void* c, int type_c, int ldc, int compute, int algorithm) {
  return cublasGemmStridedBatchedEx(handle, ta, tb, m, n, k, alpha, a, type_a, lda, 0, b, type_b, ldb, 0, beta, c, type_c,
                                    ldc, 0, 1, compute, algorithm);
}

EXPORT Status cublasSgemmEx(Handle* handle, int ta, int tb, int m, int n, int k, const float* alpha,
                            const void* a, int type_a, int lda, const void* b, int type_b, int ldb, const float* beta,
                            void* c, int type_c, int ldc) {
  if (type_a != FLOAT)
    return NOT_SUPPORTED;
  return cublasGemmEx(handle, ta, tb, m, n, k, alpha, a, type_a, lda, b, type_b, ldb, beta, c, type_c, ldc, 0, 0);
}
