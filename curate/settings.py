"""What a recipe may say about curation. Each field: meaning, unit, where the default comes from.

These models are the single place of their defaults; `pipelines/recipe.py` composes them into a recipe, `postgrad
schema` prints them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

Role = Literal["domain", "general", "control", "benchmark"]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Settings(BaseModel):
    """Frozen, and strict about names: an unknown field is a fault, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldOf(Settings):
    field: str = Field(min_length=1)
    """Name of the field of a record that holds the value; dots go into nested objects."""


class Language(Settings):
    keep: list[str] = ["en"]
    """ISO 639-1 codes as lid.176 names them; documents in any other language are removed."""
    at_least: float = Field(0.65, ge=0, le=1)
    """Least score of that language: 0.65 is datatrove's, FineWeb's and DCLM's bound. Larger removes more mixed text."""
    decide: bool = True
    """False: language is measured and recorded, nothing is removed for it."""
    model: str | None = None
    """Any fastText language model (.bin or .ftz) by path, such as GlotLID's; `keep` then names its labels (eng_Latn).
    None: lid.176, which comes along."""
    mixed_at_most: float | None = Field(None, ge=0, le=1)
    """Largest share of the sampled windows in another language than the document's own. null: mixed documents are
    flagged (measure other_language_share) and stay."""

    @model_validator(mode="before")
    @classmethod
    def _keep_all(cls, given: object) -> object:
        # `language: {keep: all}` is the recipe's way to say: measure without deciding
        if isinstance(given, dict) and given.get("keep") == "all":
            return {**given, "keep": [], "decide": False}
        return given


class Bound(Settings):
    """What is given replaces that end of the preset's bound; `null` takes that end away; `{}` switches the rule off."""

    at_least: float | None = None
    """Values below are removed. null: no lower bound."""
    at_most: float | None = None
    """Values above are removed. null: no upper bound."""

    @model_serializer
    def _as_given(self) -> dict[str, float | None]:
        # a bound that was left out is not the same as null, so it must not become null when the recipe is written down
        return {name: getattr(self, name) for name in ("at_least", "at_most") if name in self.model_fields_set}


class Quality(Settings):
    preset: str | list[str] = "gopher"
    """A family of rules by name (curate/presets), several, or `none`: every measure is taken and nothing is removed for
    it."""
    rules: dict[str, Bound] = {}
    """Bounds in place of the preset's, by the measure's name: {words: {at_least: 30}} leaves the upper one alone."""
    languages: dict[str, dict[str, Bound]] = {}
    """Bounds for documents of one language, by its code, on top of `rules`: {de: {mean_word_length: {at_most: 15}}}."""


class SourceQuality(Settings):
    preset: str | list[str] | None = None
    """In place of curate.quality.preset. null: that one."""
    rules: dict[str, Bound] = {}
    """On top of curate.quality.rules, languages' bounds included: what is said of a source is the last word."""


class Source(Settings):
    name: Name
    """Names the source in ids, ledger and report. `domain` is the name of the corpus all domain sources form."""
    path: str | list[str]
    """Files, folders or globs (`raw/**/*.xml`), relative to where the command runs; also fsspec URLs. A folder means
    every file below."""
    role: Role = "domain"
    """domain | general (replay, forgetting) | control (measured, never trained on) | benchmark (decontaminate
    against)."""
    format: str | None = None
    """Overrides what the file names say: a reader by name (curate/readers), such as lines for one document a line."""
    text: str | list[str] = "text"
    """Field (or fields, joined by a blank line; dots go into nested objects) that hold the text, for records with
    fields."""
    id: str | None = None
    """Field that holds the record's own id; without it ids come from path and position."""
    encoding: str = "utf-8"
    """Declared encoding of text files. A file that is not valid in it is quarantined."""
    licence: str | FieldOf | None = None
    """Of every document: an SPDX identifier (CC-BY-4.0), or {field: license} where each record names its own. Carried
    into documents, shards and report."""
    consent: str | FieldOf | None = None
    """What may be done with the text (research_only, opted_out ...), or {field: consent}. Carried like the licence."""
    quality: SourceQuality | None = None
    """Rules for this source alone, on top of curate.quality."""
    language: Language | None = None
    """In place of curate.language for this source."""

    @field_validator("path", "text")
    @classmethod
    def _not_empty(cls, value: str | list[str]) -> str | list[str]:
        if not value or (isinstance(value, list) and "" in value):
            raise ValueError("is empty, or one of its entries is")
        return value

    @model_validator(mode="after")
    def _names_are_free(self) -> Source:
        if self.name == "domain":
            raise ValueError("the name 'domain' is taken by the corpus that all domain sources form")
        return self


class Target(Settings):
    """What bands and rows are chosen for: the fewest false candidates among the settings that reach the recall at that
    Jaccard with so many permutations (curate/dedup/bands.py)."""

    recall: float = Field(0.95, gt=0, lt=1)
    """Share of the pairs of that Jaccard that are to become candidates."""
    jaccard: float = Field(0.8, gt=0, lt=1)
    """Pairs more alike are found more often still."""
    permutations_at_most: int = Field(256, ge=1, le=4096)
    """bands x rows, at most: time and 4 bytes of each document. 256 gives 21 x 9 for {recall: 0.95, jaccard: 0.8}, 512
    gives 34 x 11."""


class BestOf(Settings):
    measure: str = Field(min_length=1)
    """A measure by name, such as domain_score or words: the copy with the best value stays."""
    prefer: Literal["high", "low"] = "high"


class Earliest(Settings):
    earliest: str = Field(min_length=1)
    """The field of a record that holds its date (ISO 8601, or a year): the earliest copy stays, those without one
    last."""


class SourcesFirst(Settings):
    sources: list[Name] = Field(min_length=1)
    """Sources in the order in which their copies stay; those that are not named come last."""


def _kind_of_policy(given: object) -> str | None:
    """Which kind of policy is meant, so that what is wrong with it is said of that one alone."""
    if isinstance(given, BestOf | Earliest | SourcesFirst):
        return type(given).__name__
    if isinstance(given, list | tuple | str):
        return "[name]" if isinstance(given, str) else "[list]"
    named = {"measure": "BestOf", "prefer": "BestOf", "earliest": "Earliest", "sources": "SourcesFirst"}
    return next((kind for field, kind in named.items() if isinstance(given, dict) and field in given), None)


_POLICY = Discriminator(
    _kind_of_policy,
    custom_error_type="policy",
    custom_error_message="should be longest, lowest_id, {measure: NAME}, {earliest: FIELD}, {sources: [NAME]}, or a "
    "list of these",
)
_Named = Annotated[Literal["longest", "lowest_id"], Tag("[name]")]
_Best = Annotated[BestOf, Tag("BestOf")]
_Earliest = Annotated[Earliest, Tag("Earliest")]
_Sources = Annotated[SourcesFirst, Tag("SourcesFirst")]
KeepPolicy = Annotated[_Named | _Best | _Earliest | _Sources, _POLICY]
_Policies = Annotated[list[KeepPolicy], Field(min_length=1), Tag("[list]")]
Keep = Annotated[_Named | _Best | _Earliest | _Sources | _Policies, _POLICY]
Size = Annotated[int, Field(ge=1)]
Weight = Annotated[int, Field(ge=1, le=255)]


class Boilerplate(Settings):
    """Lines or paragraphs that stand in many documents of one source: navigation, licences, page headers."""

    unit: Literal["line", "paragraph"] = "line"
    """What is counted and cut. Paragraphs are parted by blank lines."""
    documents: int = Field(20, ge=2)
    """Documents of a source that a unit of text must stand in, at least."""
    share: float = Field(0.0, ge=0, le=1)
    """Share of the source's documents it must stand in, at least, on top."""
    words: int = Field(4, ge=1)
    """Shorter ones are headings (`Methods`, `(a) Repealed.`) and never count."""
    action: Literal["count", "remove", "mask"] = "count"
    """count: reported only. remove: cut from the text, the document stays. mask: [boilerplate] stands in its place."""


class Spans(Settings):
    """Runs of words that stand in more than one document (Lee et al. 2021, exact substrings)."""

    words: int = Field(40, ge=10, le=1000)
    """Length from which a run counts. Lee et al. take 50 BPE tokens: about 40 words of English."""
    action: Literal["ignore", "report", "remove"] = "report"
    """remove: cut from every document but the one of lowest id that stays; a document that is nothing else leaves."""


class Duplicates(Settings):
    shingle_words: int = Field(5, ge=1, le=64)
    """Words per shingle. 5 as in datatrove, FineWeb and Lee et al. 2021; larger finds only longer verbatim runs."""
    shingle_characters: int | None = Field(None, ge=2, le=64)
    """Characters per shingle instead, for text without spaces between words (Chinese, Japanese, Thai). null: words."""
    bands: int = Field(14, ge=1, le=512)
    """LSH bands. More bands find more, and more that is not. 14 x 8 is FineWeb's setting: P(candidate) = 0.92 at J =
    0.8."""
    rows: int = Field(8, ge=1, le=64)
    """Signature values per band. More rows find less."""
    target: Target | None = None
    """Choose bands and rows for {recall: 0.95, jaccard: 0.8}, in place of giving them. null: as given."""
    verify_at_least: float = Field(0.8, ge=0, le=1)
    """Least exact Jaccard of the two shingle sets for a candidate pair to count as near-duplicates."""
    keep: Keep = "longest"
    """Which copy stays: longest, lowest_id, {measure: NAME}, {earliest: FIELD}, {sources: [A, B]}, or a list of them,
    each for ties of the one before. Ties that remain break on the lowest id."""
    rehydrate: Annotated[dict[Size, Weight], Field(min_length=1)] | None = None
    """Weight of a copy that stays, by the size of its cluster: how often an epoch trains on it. A cluster takes the
    weight of the largest size it reaches; {1: 1, 2: 2, 3: 3, 5: 5, 100: 8, 1000: 1} is FineWeb-2's. Where several
    copies of a cluster stay, each counts itself and those that left for it. Held-out text weighs 1. null: once."""
    against: list[str] = []
    """Folders of indexes (`postgrad index build`) of corpora already published: what they hold leaves, their copy
    named."""
    boilerplate: Boilerplate = Boilerplate()
    spans: Spans = Spans()

    @model_validator(mode="before")
    @classmethod
    def _bands_of_target(cls, given: object) -> object:
        if not isinstance(given, dict) or given.get("target") is None:
            return given
        try:
            target = Target.model_validate(given["target"])
        except ValidationError:
            return given  # told field by field
        from curate.dedup.bands import choose_bands

        bands, rows = choose_bands(target.recall, target.jaccard, target.permutations_at_most)
        asked = given.get("bands", bands), given.get("rows", rows)
        if asked != (bands, rows):
            raise ValueError(
                f"target chooses {bands} bands x {rows} rows, and bands x rows says {asked[0]} x {asked[1]}: leave out "
                "target, or both bands and rows"
            )
        return {**given, "bands": bands, "rows": rows}

    @field_validator("rehydrate")
    @classmethod
    def _ascending(cls, weights: dict[int, int] | None) -> dict[int, int] | None:
        return None if weights is None else dict(sorted(weights.items()))


class Domain(Settings):
    """A fastText classifier that tells the domain from other text. Trained from seed sources, or somebody's own."""

    seeds: list[str] = []
    """Sources whose text is the domain, by name: what the classifier learns from."""
    against: list[str] = []
    """Sources it learns to tell the seeds from. Empty: all general ones."""
    model: str | None = None
    """A fastText model by path, applied instead of training one."""
    label: str = "domain"
    """Of that model: the label whose probability is the domain score."""
    at_least: float | None = Field(None, ge=0, le=1)
    """Least domain score. null: chosen on held-out seeds for `precision`."""
    precision: float = Field(0.95, gt=0, lt=1)
    """Held-out precision that the threshold is chosen for, where at_least is not given."""
    decide: bool = True
    """False: every document is scored, none removed. Judged are domain sources that are no seeds."""

    @model_validator(mode="after")
    def _seeds_or_model(self) -> Domain:
        if bool(self.seeds) == bool(self.model):
            raise ValueError("give seeds to train a classifier from, or the path of a model: one of the two")
        if self.model and self.at_least is None and self.decide:
            raise ValueError("a model of your own needs at_least: there are no seeds to choose a threshold on")
        return self


class Classifier(Settings):
    """Any fastText classifier (quality, education, toxicity ...); its score becomes a measure of that name."""

    model: str
    """Path of a .bin or .ftz file."""
    label: str
    """The label whose probability is the score, with or without __label__."""
    at_least: float | None = Field(None, ge=0, le=1)
    """Least score. null: recorded only."""
    at_most: float | None = Field(None, ge=0, le=1)
    """Largest score. null: recorded only."""


PiiKind = Literal[
    "email",
    "phone",
    "ip",
    "url_credentials",
    "national_id",
    "medical_record_number",
    "birth_date",
    "person",
    "location",
]
PII_KINDS: tuple[PiiKind, ...] = get_args(PiiKind)


class Pii(Settings):
    count: list[PiiKind] = list(PII_KINDS[:-2])
    """Kinds of personal data to count: a ledger column pii_<kind> each. What is masked or dropped is counted anyway."""
    mask: list[PiiKind] = []
    """Kinds to replace in the text, each by its name in brackets: [email]."""
    drop: list[PiiKind] = []
    """Kinds for which a document leaves."""
    presidio: bool = False
    """Also ask Microsoft's Presidio, where it is installed: slow. Kinds person and location come from it alone."""

    @model_validator(mode="after")
    def _names_need_presidio(self) -> Pii:
        names = sorted({"person", "location"} & {*self.count, *self.mask, *self.drop})
        if names and not self.presidio:
            raise ValueError(f"{' and '.join(names)} need presidio: true")
        return self


class Contamination(Settings):
    ngram_words: int = Field(13, ge=4, le=64)
    """Words of an n-gram that must not stand in both training and held-out text: 13 as in GPT-3 and lm-eval."""
    common_in: int = Field(10, ge=1)
    """An n-gram that stands in more than so many training documents is a common phrase, not a leak (GPT-3, Brown et al.
    2020, appendix C). Smaller removes fewer documents."""
    containment_words: int = Field(8, ge=4, le=64)
    """Words of the n-grams of the second rule: 8 as in Tulu 3."""
    containment_at_least: float | None = Field(0.5, gt=0, le=1)
    """Second rule: a training document leaves that shares so much of its own, or of the item's, n-grams of
    containment_words with one held-out or benchmark item (Tulu 3: 0.5). null: switched off."""


class ByGroup(Settings):
    group: str = Field(min_length=1)
    """Field of a record that names its group (patient, case, journal): groups are held out whole, as clusters are."""


class ByTime(Settings):
    time: str = Field(min_length=1)
    """Field of a record that holds its date (ISO 8601, or a year): the latest text is held out. Records without one are
    trained on, and clusters with a copy that is older than the cut. A general source without any date is dealt by
    cluster."""
    validation_from: str | int | None = None
    test_from: str | int | None = None
    """Dates from which on text is held out. null: the latest share, as `validation` and `test` say."""

    @model_validator(mode="after")
    def _in_order(self) -> ByTime:
        from curate.dates import moment

        given = {"validation_from": self.validation_from, "test_from": self.test_from}
        begins = {name: value for name, value in given.items() if value is not None}
        if wrong := [f"{name} {value!r}" for name, value in begins.items() if moment(value) is None]:
            raise ValueError(f"{wrong[0]} is no date: write 2023, 2023-06 or 2023-06-30")
        if self.test_from is None and self.validation_from is not None:
            raise ValueError("validation_from without test_from: give both, test_from alone, or neither")
        if len(begins) == 2 and (moment(self.validation_from) or 0) >= (moment(self.test_from) or 0):
            raise ValueError(f"validation_from {self.validation_from} should be before test_from {self.test_from}")
        return self


class BySource(Settings):
    validation_sources: list[Name] = []
    test_sources: list[Name] = []
    """Sources that are held out whole. All other domain text is trained on; `validation` and `test` then speak of the
    general sources that are not named."""

    @model_validator(mode="after")
    def _some(self) -> BySource:
        if not self.test_sources and not self.validation_sources:
            raise ValueError("name test_sources, validation_sources or both")
        return self


def _kind_of_split(given: object) -> str:
    """Which kind of split is meant, so that what is wrong with it is said of that one alone."""
    if not isinstance(given, dict):
        return type(given).__name__ if isinstance(given, ByGroup | ByTime | BySource) else "[cluster]"
    named = {"ByTime": {"time", "test_from", "validation_from"}, "BySource": {"test_sources", "validation_sources"}}
    return next((kind for kind, fields in named.items() if fields & set(given)), "ByGroup")


By = Annotated[
    Annotated[Literal["cluster"], Tag("[cluster]")]
    | Annotated[ByGroup, Tag("ByGroup")]
    | Annotated[ByTime, Tag("ByTime")]
    | Annotated[BySource, Tag("BySource")],
    Discriminator(_kind_of_split),
]


class Split(Settings):
    validation: float = Field(0.02, ge=0)
    """Below 1 a share, else a number of documents (or tokens, see `sizes`), of the domain and of each general source. A
    cluster of near-duplicates stands on one side, whole, so shares are of clusters, and numbers right within one."""
    test: float = Field(0.02, ge=0)
    """As above. Control sources are test text throughout: nothing is ever trained on them."""
    by: By = "cluster"
    """What is held out together: cluster, {group: FIELD}, {time: FIELD} or {test_sources: [NAME]}. Clusters always
    are."""
    stratified: bool = False
    """Every source gives its share to the last document, in place of about its share. A corpus that grows then may move
    documents between sides."""
    sizes: Literal["documents", "tokens"] = "documents"
    """What shares and numbers are of. Tokens are reckoned from each document's bytes, by source, with the tokenizer's
    own ratio where there is one yet."""

    @field_validator("validation", "test")
    @classmethod
    def _whole(cls, size: float) -> float:
        if size > 1 and size != round(size):
            raise ValueError("should be a share below 1, or a whole number of documents or tokens")
        return size

    @model_validator(mode="after")
    def _something_left(self) -> Split:
        if sum(size for size in (self.validation, self.test) if size < 1) >= 1:
            raise ValueError(f"validation {self.validation} and test {self.test} leave nothing to train on")
        return self


class Curate(Settings):
    clean: list[str] = ["encoding", "line_endings", "invisible"]
    """Cleaners in order (curate/cleaners)."""
    measures: list[str] = ["gopher_quality", "gopher_repetition", "c4", "fineweb", "refinedweb", "domain_text"]
    """Families of measures to take of every document (curate/measures)."""
    language: Language = Language()
    quality: Quality = Quality()
    domain: Domain | None = None
    """null: no domain classifier."""
    classifiers: dict[Name, Classifier] = {}
    """fastText classifiers of your own, by the name of the measure each becomes."""
    filters: list[str | dict[str, dict[str, Any]]] = []
    """datatrove filters: datatrove:GopherQualityFilter, or {datatrove:LambdaFilter: {argument: value}}. Slower than
    rules: each sees one document at a time."""
    pii: Pii = Pii()
    duplicates: Duplicates = Duplicates()
    contamination: Contamination = Contamination()
    split: Split = Split()
    removed: Literal["all", "sample", "none"] = "all"
    """How much of the removed text is kept for inspection: everything, one document in twenty, nothing."""


class TrainTokenizer(Settings):
    vocabulary: int = Field(4096, ge=300)
    """Size of a byte-level BPE vocabulary trained on the corpus' training split."""


class ExtendTokenizer(Settings):
    """A tokenizer with tokens appended that continued BPE learns from the domain's training text. The base model gets
    their embeddings, which begin as the mean of the pieces they stand for."""

    extend: str | None
    """Folder, tokenizer.json or hub name of a BPE tokenizer. null: the base model's own."""
    by: int = Field(4000, ge=1)
    """Tokens to append. More save more, and every one has to be learnt from this corpus: below 15 % fewer tokens it has
    not paid (ChipNeMo, eBay)."""
    sample_mb: float = Field(32, gt=0)
    """Text they are learnt from, in 10^6 bytes: whole documents chosen by the seed. 32 give the words of 100 MB that
    stand often enough to be tokens, in a tenth of the time of encoding all."""


def _kind_of_tokenizer(given: object) -> str:
    """Which is meant, so that what is wrong with it is said of that one alone."""
    if isinstance(given, dict):
        return "ExtendTokenizer" if {"extend", "by", "sample_mb"} & set(given) else "TrainTokenizer"
    return type(given).__name__ if isinstance(given, TrainTokenizer | ExtendTokenizer) else "[name]"


TokenizerChoice = Annotated[
    Annotated[str, Tag("[name]")]
    | Annotated[TrainTokenizer, Tag("TrainTokenizer")]
    | Annotated[ExtendTokenizer, Tag("ExtendTokenizer")],
    Discriminator(_kind_of_tokenizer),
]


class Shards(Settings):
    tokenizer: TokenizerChoice | None = None
    """Folder, tokenizer.json, SentencePiece model or hub name; {vocabulary: N} to train one; or
    {extend: null, by: 4000} to append tokens of the domain to one. None: the base model's own."""
    shard_mb: float = Field(500, gt=0)
    """Size a shard file aims at, in 10^6 bytes of Arrow: `datasets` writes 500 MB shards."""
    control_tokens: bool = False
    """True: special tokens that a text spells out ("</s>", "<|im_start|>") become control tokens, for text written with
    its markers on purpose. False: they are text, and no document can end another."""

    @field_validator("tokenizer")
    @classmethod
    def _not_empty(cls, value: object) -> object:
        if value == "":
            raise ValueError("is empty: give a folder, a tokenizer.json or a hub name")
        return value
