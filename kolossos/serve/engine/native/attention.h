// Attention of single positions to the pages of their sequence. Every (position, head) is a sum over its own pages in
// their order, whoever else is in the batch and in whatever pieces a prompt came.
//
// Keys lie as [page][head][head_dim][PAGE], values as [page][head][PAGE][value_width].
#pragma once
#include "products.h"

struct Attention {
  int64_t heads, kv_heads, head_dim;
  int64_t value_width;   // head_dim rounded up to whole vectors
  float scale, softcap;  // softcap 0: none
  const float* sinks;    // [heads] or null
  int64_t window;        // 0: all positions
};

// `tokens` positions of one sequence that end in the same page.
struct Stretch {
  int64_t first, tokens;  // rows of the batch
  int64_t position;       // of the first one
  const int32_t* pages;   // of its sequence
};

template <int ROWS>
static void scores_of_page(const float* q, const float* keys, int64_t head_dim, float* out) {
  Floats s[ROWS][PAGE_VECTORS] = {};
  for (int64_t i = 0; i < head_dim; i++)
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
      for (int v = 0; v < PAGE_VECTORS; v++)
        s[r][v] = fma(all(q[i * ROWS + r]), load(keys + i * PAGE + v * LANES), s[r][v]);
  for (int r = 0; r < ROWS; r++)
    for (int v = 0; v < PAGE_VECTORS; v++) store(out + r * PAGE + v * LANES, s[r][v]);
}

template <int ROWS>
static void values_of_pages(const float* weights, const float* pool, const int32_t* pages, int64_t n_pages,
                            int64_t page_stride, int64_t width, int64_t at, float* out) {
  Floats s[ROWS][2] = {};
  const bool two = at + LANES < width;
  for (int64_t g = 0; g < n_pages; g++) {
    const float* values = pool + pages[g] * page_stride + at;
    for (int64_t j = 0; j < PAGE; j++) {
      const Floats left = load(values + j * width);
      const Floats right = two ? load(values + j * width + LANES) : Floats{};
#pragma GCC unroll 12
      for (int r = 0; r < ROWS; r++) {
        const Floats a = all(weights[(g * ROWS + r) * PAGE + j]);
        s[r][0] = fma(a, left, s[r][0]);
        s[r][1] = fma(a, right, s[r][1]);
      }
    }
  }
  for (int r = 0; r < ROWS; r++) {
    store(out + r * WIDTH, s[r][0]);
    store(out + r * WIDTH + LANES, s[r][1]);
  }
}

// Scores [page][ROWS][PAGE] of one row become weights; returns one over their sum.
static float soften(float* scores, int64_t rows, int64_t first_page, int64_t n_pages, int64_t position,
                    const Attention& a, float sink, bool has_sink) {
  const int64_t low = a.window ? std::max<int64_t>(0, position - a.window + 1) : 0;
  float most = has_sink ? sink : -INFINITY;
  for (int64_t g = 0; g < n_pages; g++)
    for (int v = 0; v < PAGE_VECTORS; v++) {
      float* at = scores + g * rows * PAGE + v * LANES;
      Floats s = load(at) * all(a.scale);
      if (a.softcap > 0) s = all(a.softcap) * tanh(s * all(1.f / a.softcap));
      float one[LANES];
      store(one, s);
      for (int i = 0; i < LANES; i++) {
        const int64_t j = (first_page + g) * PAGE + v * LANES + i;
        if (j < low || j > position) one[i] = -INFINITY;
        most = std::max(most, one[i]);
      }
      store(at, load(one));
    }
  Floats total = {};
  for (int64_t g = 0; g < n_pages; g++)
    for (int v = 0; v < PAGE_VECTORS; v++) {
      float* at = scores + g * rows * PAGE + v * LANES;
      const Floats e = exp(load(at) - all(most));
      total += e;
      store(at, e);
    }
  const float whole = sum(total) + (has_sink ? exp(all(sink - most))[0] : 0.f);
  return 1.f / whole;
}

template <int ROWS>
static void attend_rows(const Attention& a, const Stretch& s, int64_t kv, int64_t token, int64_t from_head,
                        const float* q, int64_t q_stride, const float* keys, const float* values, float* out,
                        std::vector<float>& scratch) {
  const int64_t group = a.heads / a.kv_heads, heads_here = std::min<int64_t>(group, ROWS), width = a.head_dim;
  const int64_t last = s.position + token + (ROWS - 1) / heads_here;
  const int64_t low = a.window ? std::max<int64_t>(0, s.position + token - a.window + 1) : 0;
  const int64_t first_page = low / PAGE, n_pages = last / PAGE - first_page + 1;
  const int64_t key_stride = a.kv_heads * width * PAGE, value_stride = a.kv_heads * a.value_width * PAGE;
  scratch.resize(std::max<int64_t>(scratch.size(), ROWS * (width + n_pages * PAGE)));
  float *packed = scratch.data(), *scores = packed + ROWS * width;
  auto head = [&](int r) { return kv * group + from_head + r % heads_here; };
  auto row = [&](int r) { return s.first + token + r / heads_here; };
  for (int r = 0; r < ROWS; r++)
    for (int64_t i = 0; i < width; i++) packed[i * ROWS + r] = q[row(r) * q_stride + head(r) * width + i];
  const float *own_keys = keys + kv * width * PAGE, *own_values = values + kv * a.value_width * PAGE;
  for (int64_t g = 0; g < n_pages; g++)
    scores_of_page<ROWS>(packed, own_keys + s.pages[first_page + g] * key_stride, width, scores + g * ROWS * PAGE);
  float inverse[ROWS];
  for (int r = 0; r < ROWS; r++)
    inverse[r] = soften(scores + r * PAGE, ROWS, first_page, n_pages, s.position + token + r / heads_here, a,
                        a.sinks ? a.sinks[head(r)] : 0.f, a.sinks != nullptr);
  for (int64_t at = 0; at < width; at += WIDTH) {
    float result[ROWS * WIDTH];
    values_of_pages<ROWS>(scores, own_values, s.pages + first_page, n_pages, value_stride, a.value_width, at, result);
    for (int r = 0; r < ROWS; r++) {
      float* to = out + (row(r) * a.heads + head(r)) * width + at;
      for (int64_t i = 0; i < std::min<int64_t>(WIDTH, width - at); i++) to[i] = result[r * WIDTH + i] * inverse[r];
    }
  }
}

// Rows come in whole tokens where a group of heads is small, else a token's heads in pieces.
static void attend(const Attention& a, const std::vector<Stretch>& stretches, const float* q, int64_t q_stride,
                   const float* keys, const float* values, float* out) {
  const int64_t group = a.heads / a.kv_heads, work = stretches.size() * a.kv_heads;
#pragma omp parallel for schedule(dynamic)
  for (int64_t w = 0; w < work; w++) {
    static thread_local std::vector<float> scratch;
    const Stretch& s = stretches[w / a.kv_heads];
    const int64_t kv = w % a.kv_heads, tokens = std::max<int64_t>(1, MOST_ROWS / group);
    for (int64_t token = 0; token < s.tokens; token += tokens)
      for (int64_t from = 0; from < group; from += MOST_ROWS) {
        const int64_t heads = std::min<int64_t>(group - from, MOST_ROWS);
        const int64_t rows = group > MOST_ROWS ? heads : heads * std::min(tokens, s.tokens - token);
        switch (rows) {
#define CASE(N)                                                                                     \
  case N:                                                                                           \
    if constexpr (N <= MOST_ROWS)                                                                   \
      attend_rows<N>(a, s, kv, token, from, q, q_stride, keys, values, out, scratch);               \
    break;
          CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#undef CASE
        }
      }
  }
}
