"""Word lists for contradictions: opposites with their inflections, what blocks them, phrases, types. Data only."""

from __future__ import annotations

# fmt: off
WORDS = """
maximum minimum; maximal minimal; maximize minimize; before after; first last; ascending descending;
lowercase uppercase; lowercased uppercased; synchronous asynchronous; synchronously asynchronously; older newer;
oldest newest; inclusive exclusive; inclusively exclusively; public private; publicly privately; required optional;
read-only writable; mutable immutable; ordered unordered; sorted unsorted; signed unsigned; sparse dense;
valid invalid; positive negative; non-negative negative; nonnegative negative; horizontal vertical;
horizontally vertically; row column; rows columns; width height; widths heights; local remote; internal external;
internally externally; implicit explicit; implicitly explicitly; static dynamic; statically dynamically;
success failure; successful unsuccessful; successfully unsuccessfully; available unavailable; automatic manual;
automatically manually; temporary permanent; temporarily permanently; recommended discouraged; deprecated recommended;
supported unsupported; shortest longest; smallest largest; lowest highest; earliest latest; nearest farthest;
shallow deep; incoming outgoing; larger smaller; longer shorter; faster slower;
weaker stronger; wider narrower; thread-safe thread-unsafe; case-sensitive case-insensitive; big-endian little-endian;
leading trailing; forward backward; forwards backwards; numerator denominator;
encrypted unencrypted; compressed uncompressed; enabled disabled; unique repeated; safe unsafe;
directed undirected; weighted unweighted; bounded unbounded; connected disconnected; finite infinite; real imaginary;
linear nonlinear; discrete continuous; relative absolute; primary secondary; empty non-empty; exactly roughly;
inbound outbound; active inactive; present absent; rightmost leftmost; topmost bottommost; upward downward;
clockwise counterclockwise; ingress egress; stateful stateless; symmetric asymmetric; predecessor successor;
predecessors successors; mandatory optional; often rarely; inner outer; textual binary; entire partial;
simplest hardest; slowest fastest; newest oldest; together separately
"""
"""Pairs, `a b`, both ways. A word that is in several pairs becomes what its first pair says."""

VERBS = """
increase increases increased increasing / decrease decreases decreased decreasing
enable enables enabled enabling / disable disables disabled disabling
include includes included including / exclude excludes excluded excluding
allow allows allowed allowing / deny denies denied denying
permit permits permitted permitting / forbid forbids forbade forbidding
accept accepts accepted accepting / reject rejects rejected rejecting
add adds added adding / remove removes removed removing
append appends appended appending / prepend prepends prepended prepending
delete deletes deleted deleting / keep keeps kept keeping
insert inserts inserted inserting / delete deletes deleted deleting
encode encodes encoded encoding / decode decodes decoded decoding
serialize serializes serialized serializing / deserialize deserializes deserialized deserializing
compress compresses compressed compressing / decompress decompresses decompressed decompressing
encrypt encrypts encrypted encrypting / decrypt decrypts decrypted decrypting
lock locks locked locking / unlock unlocks unlocked unlocking
acquire acquires acquired acquiring / release releases released releasing
attach attaches attached attaching / detach detaches detached detaching
connect connects connected - / disconnect disconnects disconnected -
register registers registered registering / unregister unregisters unregistered unregistering
load loads loaded loading / save saves saved saving
import imports imported importing / export exports exported exporting
start starts started starting / stop stops stopped stopping
- - created - / - - deleted -
raise raises raised raising / suppress suppresses suppressed suppressing
ignore ignores ignored ignoring / respect - respected respecting
keep keeps kept keeping / discard discards discarded discarding
preserve preserves preserved preserving / discard discards discarded discarding
read reads - reading / write writes - writing
receive receives received receiving / send sends sent sending
succeed succeeds succeeded succeeding / fail fails failed failing
expand expands expanded expanding / shrink shrinks shrunk shrinking
require requires - requiring / forbid forbids - forbidding
wrap wraps wrapped wrapping / unwrap unwraps unwrapped unwrapping
pack packs packed packing / unpack unpacks unpacked unpacking
multiply multiplies multiplied multiplying / divide divides divided dividing
push pushes pushed pushing / pop pops popped popping
prevent prevents prevented preventing / cause causes caused causing
block blocks - blocking / unblock unblocks - unblocking
move moves moved moving / copy copies copied copying
copy copies copied copying / move moves moved moving
open - opened - / close - closed -
"""
"""Base, -s, past participle and -ing form, both ways; `-` where a form is too often another word."""

PHRASES = {
    r"at least": "at most", r"at most": "at least",
    r"(?:greater|more) than or equal to": "less than or equal to",
    r"(?:less|smaller) than or equal to": "greater than or equal to",
    r"more than": "fewer than", r"(?:less|fewer) than": "more than",
    r"higher than": "lower than", r"lower than": "higher than",
    r"the most (?!of\b)(?=[a-z]+)": "the least ", r"the least (?=[a-z]+)": "the most ",
    r"(?<!at )the same as": "different from", r"(?<!at )the same (?!time\b|as\b|way\b)(?=\w)": "a different ",
    r"equal to": "different from", r"different from": "the same as", r"identical to": "different from",
    r"the (?:beginning|start) of": "the end of", r"the end of": "the beginning of",
    r"at the (?:beginning|start)": "at the end", r"at the end(?! of\b)": "at the beginning",
    r"from the left": "from the right", r"from the right": "from the left",
    r"to the left": "to the right", r"to the right": "to the left",
    r"left(?= (?:side|edge|operand|corner|end|margin|child|boundary|border|part)\b)": "right",
    r"right(?= (?:side|edge|operand|corner|end|margin|child|boundary|border|part)\b)": "left",
    r"left-hand": "right-hand", r"right-hand": "left-hand",
    r"upper-case": "lower-case", r"lower-case": "upper-case", r"upper case": "lower case", r"lower case": "upper case",
    r"top(?= (?:left|right|edge|of|side|level)\b)": "bottom", r"bottom(?= (?:left|right|edge|of|side)\b)": "top",
    r"a (?:new )?copy(?= of\b|[.,;]|$)": "a view", r"a view(?= of\b|[.,;]|$)": "a copy",
    r"(?<=[Rr]eturn )a new": "the existing", r"(?<=[Rr]eturns )a new": "the existing",
    r"all(?= of (?:the|its|these|those|their)\b)": "none", r"none(?= of (?:the|its|these|those|their)\b)": "all",
    r"all(?= (?:the|its|these|those|their) \w+s\b)": "none of",
    r"(?<=[a-z] )all(?= [a-z-]+s\b(?! (?:of|in)\b))": "no", r"one or more": "exactly one",
    r"in[- ]place(?=[.,;)]|$)": "on a copy",
    r"in parallel": "one after the other", r"in reverse order": "in the original order",
    r"even(?= (?:number|integer|length|function|order|index)s?\b)": "odd",
    r"odd(?= (?:number|integer|length|function|order|index)s?\b)": "even",
    r"upper(?= (?:bound|limit|triang|half|end|left|right|tail))": "lower",
    r"lower(?= (?:bound|limit|triang|half|end|left|right|tail))": "upper",
    r"the parent(?= \w)": "the child", r"a single": "more than one",
    r"one-dimensional": "two-dimensional", r"two-dimensional": "three-dimensional",
}
"""Patterns and what they become."""

TYPES = {
    "a list": "a tuple", "a tuple": "a list", "a string": "an integer", "an integer": "a string",
    "a dictionary": "a list", "a dict": "a list", "a boolean": "a string", "a bool": "a string", "a float": "a string",
    "an iterator": "a list", "a generator": "a list", "an int": "a string", "an array": "a scalar",
    "a scalar": "an array", "a bytes object": "a string", "a namedtuple": "a dictionary",
    "a named tuple": "a dictionary", "an iterable": "a dictionary", "a callable": "a string",
    "a sequence": "a single value", "a matrix": "a vector", "a vector": "a matrix", "a class": "an instance",
    "a function": "a class", "a context manager": "an iterator", "a directory": "a file", "a file": "a directory",
}
"""What a value or parameter is, with its article."""

BEFORE = {
    "after": ("look", "named", "soon", "shortly", "right"), "before": ("as",), "first": ("at",), "last": ("at",),
    "real": ("in",), "hard": ("to",), "negative": ("false",), "positive": ("false",),
    "column": ("per",), "required": ("as", "where", "when", "if"), "static": ("a",), "present": ("at",),
}
"""Word -> words right before it that keep it as it is."""

AFTER = {
    "first": ("kind", "order", "class", "come", "step", "derivative", "of", "principles", "time", "choose"),
    "last": ("but", "resort", "updated"), "static": ("analysis", "method"),
    "local": ("time", "variable", "variables"), "real": ("time", "world"), "sorted": ("by",),
    "valid": ("for", "values"), "present": ("a", "the"), "after": ("all", "you"), "linear": ("algebra", "model"),
    "deep": ("learning",), "read": ("more",),
    "backward": ("compatibility", "compatible"), "active": ("directory",), "public": ("domain", "key"),
    "private": ("key",), "row": ("of",), "divide": ("into", "up"), "divides": ("into",), "divided": ("into",),
    "before": ("you", "running")
}
"""Word -> words right behind it that keep it as it is."""
# fmt: on
