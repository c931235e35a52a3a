"""What a file holds that nothing took in: named, so that no key changes a network in silence."""

import re

from kolossos.specs.huggingface.classes import Facts
from kolossos.specs.huggingface.encoder import TABLES
from kolossos.specs.huggingface.keys import Keys
from kolossos.specs.huggingface.shape import ACTIVATIONS, function_of

WITHOUT_SHAPE = re.compile(
    r"""^_|^architectures$|^model_type$|^auto_map$|dtype$|dropout|_pdrop$|^(id2label|label2id)$
    |token_?(id|index|ids)s?$|(?<!per)_(token|placeholder)$|^(bos|eos|pad|sep|unk)_|_version$|initializer|_init$|init_(method|range|std)
    |^use_cache$|(?<!conv_L_)cache|aux_loss|loss_|_loss|_coef|jitter|router_(z|scaling|logits|noise)|scaling|_scale$|^scale_|multiplier
    |^(?!qk_).*rope|^rotary_|softcap|_eps$|epsilon|^attn_implementation|flash|fused|_kernels$
    |^(tf_|torchscript|use_bfloat16|output_(hidden|attentions|router|scores)|return_|is_decoder|is_encoder_decoder|add_cross|cross_attention_hidden)
    |^(do_sample|num_beams|temperature|top_p|top_k$|max_length|min_length|repetition|diversity|length_penalty|typical_p)
    |^(early_stopping|num_beam_groups|no_repeat|encoder_no_repeat|bad_words|suppress|begin_suppress|forced_|num_return)
    |^(prefix|problem_type|task_specific|finetuning|tokenizer|chunk_size_feed|pruned_heads|remove_invalid|exponential)
    |^(pretraining_tp|ep_size|tp_size|n_group$|topk_group|num_expert_group|topk_method|scoring_func|seq_aux|aux_)
    |^(hidden_act|hidden_activation|clip_qkv|logit|logits_|num_logits|residual_in|rescale_prenorm|time_step_(floor|limit|max|min)|mlp_hidden_act)
    |^(gradient|use_return|classifier|num_labels|image_|video_|audio_token|vision_(start|end|token|feature|soft)|ignore_index)
    |^(media_|tie_encoder|ssm_dtype|language_model_only|attention_dropout|moe_apply|expert_selection|query_pre|swiglu_)
    |^(use_(mamba_kernels|associative|mambapy|bidirectional|parallel_embedding|gemma_norm)|residual_(in|multiplier|dropout|scale)|norm_topk)
    |overlap$|^(z_loss|mamba_(hidden_act|norm_before|ssm)|embd_|summary_|activation_situ|kda_lower|deepstack|load_presharded|unk)
    |^(original_max_position|max_batch|layer_norm_|norm_type|mup_|embedding_(initializer|scale)|use_routing|use_moe_router)
    |^(spatial_merge|out_hidden_size|downsample|patch_size|num_channels|hc_|layer_rope|linear_lower|norm_after)|^(default_|pad_|truncat|prompt|chat_|initial_context|do_layer_norm|use_unified_vision|index_(share|skip|topk_freq)|vocab_size_per_layer|vocab_file|merges|special|spk_|projector_|mm_|text_hidden|merge_)""",
    re.VERBOSE,
)
"""Keys that change neither the parameters nor the work: dropout, tokens, first values, factors, generation."""


STRUCTURE = re.compile(
    r"rank|dim|size|width|head|layer|expert|hidden|kernel|conv|expand|state|lora|latent|stack|cycle|^num_|^n_|block|depth"
    r"|group|mult|inner|embed|index|gate|config|router|mamba|ssm|attn|attention|mlp|ffn"
)
"""Keys that may well say something of the shape."""


def unread(keys: Keys) -> list[str]:
    """Keys that nobody read, that hold something and that may belong to the shape."""
    found = []
    for key, value in keys.values.items():
        if key in keys.read or key in TABLES or WITHOUT_SHAPE.search(key):
            continue
        if value is None or value is False or value in ("", [], {}) or (isinstance(value, (int, float)) and value == 0):
            continue
        found.append(key)
    return sorted(found)


def left_out(keys: Keys, facts: Facts) -> list[str]:
    """What this file switches on and a ModelSpec does not hold, in a few words each."""
    said = [facts.omits] if facts.omits else []
    for key in ("attention_bias", "mlp_bias"):
        if key in facts.ignores and keys.get(key):
            said.append(f"{key}, which {facts.name} does not take in")
    if keys.get("quantization_config"):
        said.append("quantization_config")
    function = function_of(keys)
    if function not in ACTIVATIONS and not facts.spec.get("activation"):
        said.append(f"activation {function}")
    return said
