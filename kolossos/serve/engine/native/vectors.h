// Vectors of the machine's width, and the few functions on them whose results depend on one lane alone.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr int LANES = 16, MOST_ROWS = 12;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int LANES = 8, MOST_ROWS = 6;
#else
constexpr int LANES = 4, MOST_ROWS = 6;
#endif
constexpr int WIDTH = 2 * LANES;  // columns of a panel
constexpr int PAGE = 16;          // positions of a page
constexpr int PAGE_VECTORS = PAGE / LANES;

typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef uint16_t Halves __attribute__((vector_size(LANES * 2)));
typedef uint32_t Words __attribute__((vector_size(LANES * 4)));

static inline Floats load(const float* at) {
  Floats v;
  std::memcpy(&v, at, sizeof v);
  return v;
}
// bf16 is the upper half of an fp32
static inline Floats load(const uint16_t* at) {
  Halves h;
  std::memcpy(&h, at, sizeof h);
  return (Floats)(__builtin_convertvector(h, Words) << 16);
}
static inline void store(float* at, Floats v) { std::memcpy(at, &v, sizeof v); }
static inline Floats all(float x) { return x - Floats{}; }

// one rounding, on every machine that has it; no compiler choice decides
static inline Floats fma(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
  return (Floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(__FMA__)
  return (Floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  for (int i = 0; i < LANES; i++) c[i] = std::fma(a[i], b[i], c[i]);
  return c;
#endif
}

static inline float sum(Floats v) {
  float s[LANES];
  store(s, v);
  for (int half = LANES / 2; half; half /= 2)
    for (int i = 0; i < half; i++) s[i] += s[i + half];
  return s[0];
}

// exp by a polynomial of degree 6 on [-ln 2 / 2, ln 2 / 2] (Cephes, expf.c); 0 below -87.3
static inline Floats exp(Floats x) {
  const Floats low = all(-87.3f), magic = all(12582912.f);  // 1.5 * 2^23: adding it rounds to a whole number
  Floats in = x > all(88.f) ? all(88.f) : x;
  in = in > low ? in : low;
  const Floats shifted = fma(in, all(1.44269504f), magic);
  const Floats n = shifted - magic;
  const Floats r = fma(n, all(2.12194440e-4f), fma(n, all(-0.693359375f), in));
  Floats p = all(1.9875691500e-4f);
  p = fma(p, r, all(1.3981999507e-3f));
  p = fma(p, r, all(8.3334519073e-3f));
  p = fma(p, r, all(4.1665795894e-2f));
  p = fma(p, r, all(1.6666665459e-1f));
  p = fma(p, r, all(5.0000001201e-1f));
  p = fma(p, r * r, r + all(1.f));
  const Ints power = (Ints)shifted - (Ints)magic;
  const Floats y = (Floats)((Ints)p + (power << 23));
  return x > low ? y : (x == x ? Floats{} : x);
}
static inline Floats sigmoid(Floats x) { return all(1.f) / (all(1.f) + exp(-x)); }
static inline Floats tanh(Floats x) { return all(1.f) - all(2.f) / (exp(x + x) + all(1.f)); }
static inline float tanh_one(float x) { return tanh(all(x))[0]; }

enum Activation { SILU = 0, GELU_TANH = 1, CLAMPED_SWIGLU = 2 };

// the hidden layer of a gated MLP
static inline Floats gated(int kind, Floats gate, Floats up) {
  if (kind == SILU) return gate * sigmoid(gate) * up;
  if (kind == GELU_TANH) {
    const Floats u = all(1.5957691216f) * gate * (all(1.f) + all(0.044715f) * gate * gate);  // 2 sqrt(2 / pi)
    return gate * sigmoid(u) * up;
  }
  gate = gate < all(7.f) ? gate : all(7.f);
  up = up < all(7.f) ? up : all(7.f);
  up = up > all(-7.f) ? up : all(-7.f);
  return gate * sigmoid(all(1.702f) * gate) * (up + all(1.f));
}

// out = x / sqrt(mean(x^2) + eps) * weight over n values; in place is allowed
static inline void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* out) {
  Floats squares = {};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) squares = fma(load(x + i), load(x + i), squares);
  float total = sum(squares);
  for (; i < n; i++) total = std::fma(x[i], x[i], total);
  const float scale = 1.f / std::sqrt(total / (float)n + eps);
  for (i = 0; i < n; i++) out[i] = x[i] * scale * weight[i];
}
