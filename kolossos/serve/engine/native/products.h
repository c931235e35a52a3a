// Products of few rows with packed matrices. Every element is one sum over the inner index in its order, so a row's
// bits do not depend on the rows beside it, and a matrix is read once for up to MOST_ROWS of them.
//
// A matrix [cols, inner] lies in panels of WIDTH columns: fp32 and bf16 [panel][inner][WIDTH], int8
// [panel][inner / 4][WIDTH][4]. A gated pair interleaves its panels: LANES columns of gate, then the same of up.
#pragma once
#include <vector>

#include "vectors.h"

enum Kind { FP32 = 0, BF16 = 1, INT8 = 2 };

struct Matrix {
  const void* weight;
  const float* bias;        // [panels * WIDTH] or null
  const float* scale;       // int8: [panels * WIDTH]
  const int32_t* offset;    // int8: 128 times the sum of a column's weights, [panels * WIDTH]
  int64_t inner, cols, panels;
  int64_t kind;
  int64_t members;          // matrices of this shape one after the other (experts)
};

static inline int64_t groups(int64_t inner) { return (inner + 3) / 4; }
static inline int64_t panel_bytes(const Matrix& m) {
  return m.kind == INT8 ? groups(m.inner) * WIDTH * 4 : m.inner * WIDTH * (m.kind == BF16 ? 2 : 4);
}

// Rows of some members' products, in tiles of up to MOST_ROWS; packed so that a tile is read in one stream.
struct Tile {
  int64_t member, first, rows;  // first: place among the packed rows
};

struct Packed {
  std::vector<Tile> tiles;
  std::vector<float> floats;    // [tile][inner][rows]
  std::vector<uint8_t> bytes;   // [tile][inner / 4][rows][4]
  std::vector<float> scales;    // of each row
  std::vector<int64_t> source;  // row of x that a packed row is
  int64_t rows = 0;
};

static inline void cut(Packed& p, int64_t member, int64_t first, int64_t rows) {
  const int64_t n = (rows + MOST_ROWS - 1) / MOST_ROWS;
  for (int64_t t = 0; t < n; t++) {
    const int64_t count = rows / n + (t < rows % n);
    p.tiles.push_back({member, first, count});
    first += count;
  }
}

static inline void quantize(const float* x, int64_t inner, int64_t rows, uint8_t* out, float* scale) {
  float most = 0.f;
  for (int64_t i = 0; i < inner; i++) most = std::max(most, std::fabs(x[i]));
  *scale = most / 127.f;
  const float inverse = most > 0.f ? 127.f / most : 0.f;
  for (int64_t i = 0; i < groups(inner) * 4; i++) {
    const int q = i < inner ? (int)std::nearbyint(x[i] * inverse) : 0;
    out[(i / 4) * rows * 4 + i % 4] = (uint8_t)(q + 128);
  }
}

// Packs the rows `p.source` of x [*, stride] for a matrix of this kind.
static inline void pack(Packed& p, const float* x, int64_t stride, const Matrix& m) {
  if (m.kind == INT8) {
    p.bytes.resize(p.rows * groups(m.inner) * 4);
    p.scales.resize(p.rows);
  } else {
    p.floats.resize(p.rows * m.inner);
  }
#pragma omp parallel for schedule(static) if (p.rows > 4)
  for (int64_t t = 0; t < (int64_t)p.tiles.size(); t++) {
    const Tile& tile = p.tiles[t];
    for (int64_t r = 0; r < tile.rows; r++) {
      const float* row = x + p.source[tile.first + r] * stride;
      if (m.kind == INT8) {
        uint8_t* to = p.bytes.data() + tile.first * groups(m.inner) * 4 + r * 4;
        quantize(row, m.inner, tile.rows, to, &p.scales[tile.first + r]);
      } else {
        float* to = p.floats.data() + tile.first * m.inner + r;
        for (int64_t i = 0; i < m.inner; i++) to[i * tile.rows] = row[i];
      }
    }
  }
}

template <int ROWS, class Weight>
static inline void accumulate(const float* x, const Weight* w, int64_t inner, Floats (&sums)[ROWS][2]) {
  Floats s[ROWS][2] = {};
  for (int64_t i = 0; i < inner; i++) {
    const Floats left = load(w + i * WIDTH), right = load(w + i * WIDTH + LANES);
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++) {
      const Floats a = all(x[i * ROWS + r]);
      s[r][0] = fma(a, left, s[r][0]);
      s[r][1] = fma(a, right, s[r][1]);
    }
  }
  std::memcpy(&sums, &s, sizeof s);
}

// sum + the four products of each column; exact
static inline Ints dot4(Ints sum, const uint8_t* x, const int8_t* w) {
  int32_t four;
  std::memcpy(&four, x, 4);
#if defined(__AVX512F__) && defined(__AVX512VNNI__)
  return (Ints)_mm512_dpbusd_epi32((__m512i)sum, _mm512_set1_epi32(four), _mm512_loadu_si512(w));
#elif defined(__AVX2__) && !defined(__AVX512F__)
  const __m256i b = _mm256_loadu_si256((const __m256i*)w), a = _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
  const __m256i low = _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm256_castsi256_si128(b)), a);
  const __m256i high = _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm256_extracti128_si256(b, 1)), a);
  const __m256i both = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xD8);
  return (Ints)_mm256_add_epi32((__m256i)sum, both);
#else
  for (int c = 0; c < LANES; c++)
    for (int i = 0; i < 4; i++) sum[c] += (int32_t)x[i] * w[c * 4 + i];
  return sum;
#endif
}

template <int ROWS>
static inline void accumulate(const uint8_t* x, const int8_t* w, int64_t inner, Ints (&sums)[ROWS][2]) {
  Ints s[ROWS][2] = {};
  for (int64_t g = 0; g < groups(inner); g++) {
    const int8_t* at = w + g * WIDTH * 4;
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++) {
      s[r][0] = dot4(s[r][0], x + (g * ROWS + r) * 4, at);
      s[r][1] = dot4(s[r][1], x + (g * ROWS + r) * 4, at + LANES * 4);
    }
  }
  std::memcpy(&sums, &s, sizeof s);
}

// One tile times one panel: `out` takes its rows, each WIDTH wide.
template <int ROWS>
static void tile_product(const Matrix& m, const Packed& p, const Tile& tile, int64_t panel, float* out) {
  const char* w = (const char*)m.weight + (tile.member * m.panels + panel) * panel_bytes(m);
  const int64_t col = (tile.member * m.panels + panel) * WIDTH;
  Floats s[ROWS][2];
  if (m.kind == INT8) {
    Ints sums[ROWS][2];
    accumulate<ROWS>(p.bytes.data() + tile.first * groups(m.inner) * 4, (const int8_t*)w, m.inner, sums);
    for (int half = 0; half < 2; half++) {
      Ints offset;
      std::memcpy(&offset, m.offset + col + half * LANES, sizeof offset);
      const Floats scale = load(m.scale + col + half * LANES);
      for (int r = 0; r < ROWS; r++)
        s[r][half] = __builtin_convertvector(sums[r][half] - offset, Floats) * (scale * p.scales[tile.first + r]);
    }
  } else if (m.kind == BF16) {
    accumulate<ROWS>(p.floats.data() + tile.first * m.inner, (const uint16_t*)w, m.inner, s);
  } else {
    accumulate<ROWS>(p.floats.data() + tile.first * m.inner, (const float*)w, m.inner, s);
  }
  for (int r = 0; r < ROWS; r++)
    for (int half = 0; half < 2; half++) {
      if (m.bias) s[r][half] += load(m.bias + col + half * LANES);
      store(out + r * WIDTH + half * LANES, s[r][half]);
    }
}

static void tile_product(const Matrix& m, const Packed& p, const Tile& tile, int64_t panel, float* out) {
  switch (tile.rows) {
#define CASE(N) case N: if constexpr (N <= MOST_ROWS) tile_product<N>(m, p, tile, panel, out); break;
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#undef CASE
  }
}

// Every packed row times its member's matrix; write(packed row, panel, left half, right half) takes the results.
template <class Write>
static void multiply(const Matrix& m, const Packed& p, Write write) {
#pragma omp parallel for schedule(static)
  for (int64_t panel = 0; panel < m.panels; panel++)
    for (const Tile& tile : p.tiles) {
      float out[MOST_ROWS * WIDTH];
      tile_product(m, p, tile, panel, out);
      for (int64_t r = 0; r < tile.rows; r++)
        write(tile.first + r, panel, load(out + r * WIDTH), load(out + r * WIDTH + LANES));
    }
}

// All rows of x for a matrix that has one member.
static inline void take_rows(Packed& p, int64_t rows, const float* x, int64_t stride, const Matrix& m) {
  p.tiles.clear();
  p.rows = rows;
  p.source.resize(rows);
  for (int64_t r = 0; r < rows; r++) p.source[r] = r;
  cut(p, 0, 0, rows);
  pack(p, x, stride, m);
}

static inline void write_vector(float* to, int64_t col, int64_t cols, Floats v) {
  if (col + LANES <= cols) store(to + col, v);
  else for (int i = 0; i < LANES && col + i < cols; i++) to[col + i] = v[i];
}

// out [rows, cols] = x [rows, inner] times the matrix
static inline void linear(Packed& p, const float* x, int64_t rows, const Matrix& m, float* out) {
  take_rows(p, rows, x, m.inner, m);
  multiply(m, p, [&](int64_t row, int64_t panel, Floats left, Floats right) {
    write_vector(out + row * m.cols, panel * WIDTH, m.cols, left);
    write_vector(out + row * m.cols, panel * WIDTH + LANES, m.cols, right);
  });
}
