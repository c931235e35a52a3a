// One pass of a decoder over the tokens of many sequences, for `kolossos.serve.engine.native`.
#include <memory>
#include <thread>

#include "attention.h"
#if defined(_OPENMP)
#include <omp.h>
#endif

struct Layer {
  const float *attention_norm, *attention_post_norm, *ffn_norm, *ffn_post_norm;  // null: none
  const float *query_norm, *key_norm, *sinks;
  Matrix qkv, output, mlp_in, mlp_down, router, experts_in, experts_down;  // weight null: none
  int64_t window;
};

struct Shape {
  int64_t n_layers, dim, heads, kv_heads, head_dim, vocab, top_k, n_experts, activation;
  int64_t norm_whole, renormalize, biased, context, pages;
  float eps, attention_scale, attention_softcap, router_softcap, branch_scale;
  float embedding_multiplier, output_multiplier, output_softcap;
};

struct Model {
  Shape shape;
  const Layer* layers;
  const float* final_norm;
  const float* embedding;  // [vocab, dim], or null where the output's matrix is the embedding, too
  Matrix head;
  const float *cos, *sin;  // [context, head_dim / 2]
  const float* temperature;  // [context] or null
  float *keys, *values;    // pools of all layers
};

struct Batch {
  int64_t tokens, sequences, outputs, table_width;
  const int32_t* ids;        // [tokens]
  const int32_t* positions;  // [tokens]
  const int32_t* firsts;     // [sequences + 1]: where each sequence's tokens begin; their positions follow on one another
  const int32_t* tables;     // [sequences, table_width]: pages
  const int32_t* wanted;     // [outputs]: rows that logits are wanted of
  float* logits;             // [outputs, vocab]
  float* hidden;             // [tokens, dim] after the final norm, or null
};

static int64_t value_width(const Shape& s) { return (s.head_dim + LANES - 1) / LANES * LANES; }

static float element(const Matrix& m, int64_t col, int64_t i) {
  const int64_t panel = col / WIDTH, c = col % WIDTH, at = (panel * m.inner + i) * WIDTH + c;
  if (m.kind == FP32) return ((const float*)m.weight)[at];
  if (m.kind == BF16) {
    const uint32_t bits = (uint32_t)((const uint16_t*)m.weight)[at] << 16;
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
  }
  const int64_t byte = ((panel * groups(m.inner) + i / 4) * WIDTH + c) * 4 + i % 4;
  return ((const int8_t*)m.weight)[byte] * m.scale[col];
}

// What one pass needs, kept from pass to pass.
struct Work {
  Packed packed;
  std::vector<float> x, normed, qkv, attended, branch, hidden, down, logits;
  std::vector<int64_t> choice, order, starts;
  std::vector<float> gates;
  std::vector<Stretch> stretches;
};

static void rotate(float* x, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; i++) {
    const float a = x[i], b = x[i + half];
    x[i] = a * cos[i] - b * sin[i];
    x[i + half] = b * cos[i] + a * sin[i];
  }
}

static void attention(const Model& m, const Layer& l, int64_t number, const Batch& b, Work& w, const float* x) {
  const Shape& s = m.shape;
  const int64_t q_width = s.heads * s.head_dim, kv_width = s.kv_heads * s.head_dim, row = q_width + 2 * kv_width;
  const int64_t wide = value_width(s);
  float* keys = m.keys + number * s.pages * s.kv_heads * s.head_dim * PAGE;
  float* values = m.values + number * s.pages * s.kv_heads * wide * PAGE;
  linear(w.packed, x, b.tokens, l.qkv, w.qkv.data());
#pragma omp parallel for schedule(static) if (b.tokens > 4)
  for (int64_t n = 0; n < b.tokens; n++) {
    float *q = w.qkv.data() + n * row, *k = q + q_width, *v = k + kv_width;
    const int64_t p = b.positions[n];
    if (l.query_norm && s.norm_whole) {
      rms_norm(q, l.query_norm, s.eps, q_width, q);
      rms_norm(k, l.key_norm, s.eps, kv_width, k);
    } else if (l.query_norm) {
      for (int64_t h = 0; h < s.heads; h++) rms_norm(q + h * s.head_dim, l.query_norm, s.eps, s.head_dim, q + h * s.head_dim);
      for (int64_t h = 0; h < s.kv_heads; h++) rms_norm(k + h * s.head_dim, l.key_norm, s.eps, s.head_dim, k + h * s.head_dim);
    }
    const float *cos = m.cos + p * s.head_dim / 2, *sin = m.sin + p * s.head_dim / 2;
    for (int64_t h = 0; h < s.heads + s.kv_heads; h++) rotate(q + h * s.head_dim, cos, sin, s.head_dim / 2);
    if (m.temperature)
      for (int64_t i = 0; i < q_width; i++) q[i] *= m.temperature[p];
    int64_t sequence = 0;
    while (n >= b.firsts[sequence + 1]) sequence++;
    const int64_t page = b.tables[sequence * b.table_width + p / PAGE], place = p % PAGE;
    for (int64_t h = 0; h < s.kv_heads; h++) {
      float* to_k = keys + (page * s.kv_heads + h) * s.head_dim * PAGE + place;
      for (int64_t i = 0; i < s.head_dim; i++) to_k[i * PAGE] = k[h * s.head_dim + i];
      std::memcpy(values + ((page * s.kv_heads + h) * PAGE + place) * wide, v + h * s.head_dim, s.head_dim * 4);
    }
  }
  const Attention a{s.heads, s.kv_heads, s.head_dim, wide, s.attention_scale, s.attention_softcap, l.sinks, l.window};
  attend(a, w.stretches, w.qkv.data(), row, keys, values, w.attended.data());
  linear(w.packed, w.attended.data(), b.tokens, l.output, w.branch.data());
}

// Softmax over all experts, then the top k of it, the first of equals first.
static void route(const Shape& s, float* logits, int64_t* choice, float* gates) {
  float most = -INFINITY, total = 0.f;
  for (int64_t e = 0; e < s.n_experts; e++) {
    if (s.router_softcap > 0) logits[e] = s.router_softcap * tanh_one(logits[e] / s.router_softcap);
    most = std::max(most, logits[e]);
  }
  for (int64_t e = 0; e < s.n_experts; e++) total += logits[e] = exp(all(logits[e] - most))[0];
  for (int64_t e = 0; e < s.n_experts; e++) logits[e] /= total;
  float chosen = 0.f;
  for (int64_t c = 0; c < s.top_k; c++) {
    int64_t best = -1;
    for (int64_t e = 0; e < s.n_experts; e++)
      if (logits[e] >= 0.f && (best < 0 || logits[e] > logits[best])) best = e;
    if (best < 0) {  // not a number: the row is lost anyway, and must not take others with it
      choice[c] = c;
      gates[c] = NAN;
      continue;
    }
    choice[c] = best;
    chosen += gates[c] = logits[best];
    logits[best] = -1.f;
  }
  if (s.renormalize)
    for (int64_t c = 0; c < s.top_k; c++) gates[c] /= chosen;
}

// The gated products of rows that are packed, [packed row, hidden]; `weigh` gives the factor of a packed row.
template <class Weigh>
static void gated_rows(const Shape& s, const Matrix& in, const Packed& p, float* hidden, int64_t width, Weigh weigh) {
  multiply(in, p, [&](int64_t row, int64_t panel, Floats gate, Floats up) {
    write_vector(hidden + row * width, panel * LANES, width, gated((int)s.activation, gate, up) * all(weigh(row)));
  });
}

static void experts(const Shape& s, const Layer& l, int64_t tokens, Work& w, const float* x, float* out) {
  const int64_t rows = tokens * s.top_k, width = l.experts_down.inner;
  w.logits.resize(tokens * s.n_experts);
  w.choice.resize(rows), w.gates.resize(rows), w.order.resize(rows);
  linear(w.packed, x, tokens, l.router, w.logits.data());
  for (int64_t n = 0; n < tokens; n++) route(s, &w.logits[n * s.n_experts], &w.choice[n * s.top_k], &w.gates[n * s.top_k]);
  w.starts.assign(s.n_experts + 1, 0);
  for (int64_t r = 0; r < rows; r++) w.starts[w.choice[r] + 1]++;
  for (int64_t e = 0; e < s.n_experts; e++) w.starts[e + 1] += w.starts[e];
  std::vector<int64_t> next(w.starts);
  for (int64_t r = 0; r < rows; r++) w.order[next[w.choice[r]]++] = r;  // packed row -> (token, place among its k)
  auto tiles = [&](auto source, const float* from, int64_t stride, const Matrix& m) {
    w.packed.tiles.clear();
    w.packed.rows = rows;
    w.packed.source.resize(rows);
    for (int64_t r = 0; r < rows; r++) w.packed.source[r] = source(r);
    for (int64_t e = 0; e < s.n_experts; e++) cut(w.packed, e, w.starts[e], w.starts[e + 1] - w.starts[e]);
    pack(w.packed, from, stride, m);
  };
  w.hidden.resize(rows * width), w.down.resize(rows * s.dim);
  tiles([&](int64_t r) { return w.order[r] / s.top_k; }, x, s.dim, l.experts_in);
  gated_rows(s, l.experts_in, w.packed, w.hidden.data(), width,
             [&](int64_t r) { return s.biased ? 1.f : w.gates[w.order[r]]; });
  tiles([&](int64_t r) { return r; }, w.hidden.data(), width, l.experts_down);
  multiply(l.experts_down, w.packed, [&](int64_t r, int64_t panel, Floats left, Floats right) {
    const Floats gate = all(s.biased ? w.gates[w.order[r]] : 1.f);
    float* to = w.down.data() + w.order[r] * s.dim;
    write_vector(to, panel * WIDTH, s.dim, left * gate);
    write_vector(to, panel * WIDTH + LANES, s.dim, right * gate);
  });
  for (int64_t n = 0; n < tokens; n++)
    for (int64_t i = 0; i < s.dim; i++) {
      float total = w.down[n * s.top_k * s.dim + i];
      for (int64_t c = 1; c < s.top_k; c++) total += w.down[(n * s.top_k + c) * s.dim + i];
      out[n * s.dim + i] = total;
    }
}

static void norm_rows(const float* x, const float* weight, const Shape& s, int64_t rows, float* out) {
#pragma omp parallel for schedule(static) if (rows > 8)
  for (int64_t n = 0; n < rows; n++) rms_norm(x + n * s.dim, weight, s.eps, s.dim, out + n * s.dim);
}

static void feed_forward(const Shape& s, const Layer& l, int64_t tokens, Work& w, const float* x) {
  if (l.router.weight) experts(s, l, tokens, w, x, w.branch.data());
  if (!l.mlp_in.weight) return;
  const int64_t width = l.mlp_down.inner;
  w.hidden.resize(tokens * width);
  take_rows(w.packed, tokens, x, s.dim, l.mlp_in);
  gated_rows(s, l.mlp_in, w.packed, w.hidden.data(), width, [](int64_t) { return 1.f; });
  if (!l.router.weight) return linear(w.packed, w.hidden.data(), tokens, l.mlp_down, w.branch.data());
  w.down.resize(tokens * s.dim);
  linear(w.packed, w.hidden.data(), tokens, l.mlp_down, w.down.data());
  for (int64_t i = 0; i < tokens * s.dim; i++) w.branch[i] = (w.branch[i] + w.down[i]) * s.branch_scale;
}

static void add_branch(const Shape& s, const float* post_norm, int64_t tokens, Work& w) {
  if (post_norm) norm_rows(w.branch.data(), post_norm, s, tokens, w.branch.data());
  for (int64_t i = 0; i < tokens * s.dim; i++) w.x[i] += w.branch[i];
}

static void stretches_of(const Batch& b, std::vector<Stretch>& found) {
  found.clear();
  for (int64_t q = 0; q < b.sequences; q++)
    for (int64_t n = b.firsts[q]; n < b.firsts[q + 1];) {
      const int64_t position = b.positions[n];
      const int64_t count = std::min<int64_t>(PAGE - position % PAGE, b.firsts[q + 1] - n);
      found.push_back({n, count, position, b.tables + q * b.table_width});
      n += count;
    }
}

extern "C" {
int64_t kolossos_lanes() { return LANES; }
int64_t kolossos_page() { return PAGE; }
int64_t kolossos_value_width(const Shape* s) { return value_width(*s); }
Work* kolossos_work() { return new Work(); }
void kolossos_done(Work* w) { delete w; }

void kolossos_threads(int64_t n) {
#if defined(_OPENMP)
  omp_set_num_threads((int)n);
#endif
}

void kolossos_forward(const Model* model, const Batch* batch, Work* work) {
  const Model& m = *model;
  const Batch& b = *batch;
  const Shape& s = m.shape;
  Work& w = *work;
  const int64_t n = b.tokens;
  w.x.resize(n * s.dim), w.normed.resize(n * s.dim), w.branch.resize(n * s.dim);
  w.qkv.resize(n * (s.heads + 2 * s.kv_heads) * s.head_dim), w.attended.resize(n * s.heads * s.head_dim);
  stretches_of(b, w.stretches);
  for (int64_t t = 0; t < n; t++)
    for (int64_t i = 0; i < s.dim; i++) {
      const float e = m.embedding ? m.embedding[b.ids[t] * s.dim + i] : element(m.head, b.ids[t], i);
      w.x[t * s.dim + i] = e * s.embedding_multiplier;
    }
  for (int64_t number = 0; number < s.n_layers; number++) {
    const Layer& l = m.layers[number];
    auto normed = [&](const float* weight) -> const float* {
      if (!weight) return w.x.data();
      norm_rows(w.x.data(), weight, s, n, w.normed.data());
      return w.normed.data();
    };
    attention(m, l, number, b, w, normed(l.attention_norm));
    add_branch(s, l.attention_post_norm, n, w);
    feed_forward(s, l, n, w, normed(l.ffn_norm));
    add_branch(s, l.ffn_post_norm, n, w);
  }
  norm_rows(w.x.data(), m.final_norm, s, n, w.x.data());
  if (b.hidden) std::memcpy(b.hidden, w.x.data(), n * s.dim * 4);
  w.packed.tiles.clear();
  w.packed.rows = b.outputs;
  w.packed.source.assign(b.wanted, b.wanted + b.outputs);
  cut(w.packed, 0, 0, b.outputs);
  pack(w.packed, w.x.data(), s.dim, m.head);
  auto out = [&](int64_t row, int64_t at, Floats v) {
    v = v * all(s.output_multiplier);
    if (s.output_softcap > 0) v = all(s.output_softcap) * tanh(v / all(s.output_softcap));
    write_vector(b.logits + row * s.vocab, at, s.vocab, v);
  };
  multiply(m.head, w.packed, [&](int64_t row, int64_t panel, Floats left, Floats right) {
    out(row, panel * WIDTH, left);
    out(row, panel * WIDTH + LANES, right);
  });
}
}
