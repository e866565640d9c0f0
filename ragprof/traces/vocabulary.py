"""The one table of attribute names: OpenInference and OpenTelemetry GenAI, in current and former words, and ours.

Names were read on 2026-11-30 in the packages openinference-semantic-conventions 0.1.42 and
opentelemetry-semantic-conventions 0.66b2, and in the repository open-telemetry/semantic-conventions-genai, whose
migration guide lists what was renamed. Within a fact, an earlier name goes before a later one.
"""

from __future__ import annotations

from collections.abc import Mapping

from ragprof.core import OTHER, StageName

FACTS: Mapping[str, tuple[str, ...]] = {
    "kind": ("openinference.span.kind", "langfuse.observation.type", "traceloop.span.kind"),
    "operation": ("gen_ai.operation.name", "llm.request.type"),
    "stage": ("ragprof.stage",),
    "query_id": ("ragprof.query_id",),
    "model": (
        "llm.response.model_name", "gen_ai.response.model", "llm.model_name", "llm.request.model_name",
        "gen_ai.request.model", "embedding.model_name", "reranker.model_name",
    ),
    "provider": ("llm.provider", "gen_ai.provider.name", "gen_ai.system", "llm.system"),
    "input_tokens": (
        "gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens", "llm.token_count.completion", "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
    ),
    "total_tokens": ("llm.token_count.total", "gen_ai.usage.total_tokens", "llm.usage.total_tokens"),
    "cached_tokens": (
        "gen_ai.usage.cache_read.input_tokens", "llm.token_count.prompt_details.cache_read",
        "gen_ai.usage.cache_read_input_tokens", "llm.token_count.prompt_details.cache_input",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens", "llm.token_count.completion_details.reasoning",
    ),
    "own_usd": ("ragprof.cost.usd",),
    "usd": ("llm.cost.total", "gen_ai.usage.cost"),
    "first_token_s": ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"),
    "candidates": ("ragprof.rerank.candidates",),
    "question": ("gen_ai.retrieval.query.text", "reranker.query", "input.value", "traceloop.entity.input"),
    "session": (
        "session.id", "gen_ai.conversation.id", "langfuse.session.id", "traceloop.association.properties.session_id",
    ),
    "prompt": ("gen_ai.input.messages", "gen_ai.prompt", "llm.prompts"),
    "documents": ("gen_ai.retrieval.documents",),
    "error": ("error.type", "exception.type"),
    "resent": ("http.request.resend_count",),
    "db": ("db.system.name", "db.system"),
}  # fmt: skip
LISTS: Mapping[tuple[str, str], str] = {
    ("retrieval", "documents"): "found",
    ("reranker", "input_documents"): "offered",
    ("reranker", "output_documents"): "reranked",
    ("input", "documents"): "injected",
    ("llm", "input_messages"): "prompt",
    ("gen_ai", "prompt"): "prompt",
    ("llm", "prompts"): "prompt",
}
"""First two words of names that are numbered, such as `retrieval.documents.0.document.id` -> what they list."""
NUMBERS = frozenset({"input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens",
                     "candidates", "resent"})  # fmt: skip
DECIMALS = frozenset({"usd", "own_usd", "first_token_s"})
LIMITS: Mapping[str, float] = {
    **dict.fromkeys(("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens"), 10**12),
    "candidates": 10**6, "resent": 1_000, "first_token_s": 10**7, "usd": 10**9, "own_usd": 10**9,
}  # fmt: skip
"""The most that one span can tell; more is a mistake, and sums of it would fit no table."""
USAGE = "ragprof.usage."
"""How the names of counts begin that a recording of ragprof made of a stage; the unit follows."""

MEANINGS: Mapping[str, tuple[str, int]] = {
    name: (fact, place) for fact, names in FACTS.items() for place, name in enumerate(names)
}
"""Attribute name -> the fact that it tells, and its place among the names of that."""

KINDS: Mapping[str, StageName] = {
    "EMBEDDING": "embed", "RETRIEVER": "search", "RERANKER": "rerank", "PROMPT": "inject", "LLM": "generate",
    "GENERATION": "generate",
}  # fmt: skip
"""Kinds of OpenInference and types of Langfuse -> stage."""
OPERATIONS: Mapping[str, StageName] = {
    "embeddings": "embed", "embedding": "embed", "retrieval": "search", "rerank": "rerank", "chat": "generate",
    "text_completion": "generate", "generate_content": "generate", "completion": "generate",
}  # fmt: skip
"""Operations of OpenTelemetry GenAI, former ones too -> stage. It has none of reranking yet; `rerank` is proposed."""
HOLDING_OPERATIONS = frozenset({"invoke_agent", "invoke_workflow", "create_agent"})
HOLDING = frozenset({"CHAIN", "AGENT", "WORKFLOW", "TASK", "SPAN", "EVENT"})
"""Kinds that hold other spans together."""
VECTOR_DATABASES = frozenset({
    "qdrant", "pinecone", "chroma", "chromadb", "milvus", "weaviate", "opensearch", "elasticsearch", "marqo", "lancedb",
    "vespa", "redis_vector", "pgvector",
})  # fmt: skip
PROVIDERS: Mapping[str, str] = {
    "aws.bedrock": "aws", "aws": "aws", "azure.ai.openai": "azure", "azure.ai.inference": "azure", "azure": "azure",
    "azure_openai": "azure", "gcp.vertex_ai": "google", "gcp.gemini": "google", "gcp.gen_ai": "google",
    "vertexai": "google", "vertex_ai": "google", "google": "google", "gemini": "google", "mistralai": "mistral",
    "mistral_ai": "mistral", "mistral": "mistral", "x_ai": "x-ai", "xai": "x-ai", "together": "together",
    "togetherai": "together", "openai": "openai", "anthropic": "anthropic", "cohere": "cohere", "deepseek": "deepseek",
    "groq": "groq", "perplexity": "perplexity", "openrouter": "openrouter", "fireworks": "fireworks",
}  # fmt: skip
"""Providers in the words of both conventions -> their names in genai-prices."""
SAMPLING = (
    "sampling.probability", "sampling.priority", "sampler.param", "sampler.adjusted_count", "tailsampling.policy",
    "tailsampling.composite_policy", "tailsampling.cached_decision", "SampleRate", "meta.refinery.reason",
    "meta.refinery.send_reason", "_sampling_priority_v1", "_dd.p.dm",
)  # fmt: skip
"""Attributes that samplers leave behind: head samplers, the collector's tail sampler, Refinery, Datadog."""
FIRST_TOKEN_EVENTS = frozenset({"First Token Stream Event", "gen_ai.first_token", "llm.content.completion.chunk"})


def stage_of(facts: Mapping[str, object], name: str) -> str:
    """Return the stage of a span by its facts: one of STAGES, empty for one that holds others, else `other:<name>`."""
    stage = str(facts.get("stage") or "")
    if stage:
        return "" if stage == "query" else stage
    kind = str(facts.get("kind") or "").upper()
    if found := KINDS.get(kind):
        # OpenInference's instrumentor of Haystack calls a prompt builder an LLM.
        return "inject" if found == "generate" and name.partition(".")[0].endswith("PromptBuilder") else found
    if found := OPERATIONS.get(str(facts.get("operation") or "").lower()):
        return found
    if "reranked" in facts or "offered" in facts:
        return "rerank"
    if "found" in facts or str(facts.get("db") or "").lower() in VECTOR_DATABASES:
        return "search"
    is_holding = kind in HOLDING or facts.get("operation") in HOLDING_OPERATIONS
    return "" if is_holding else f"{OTHER}{name}"
