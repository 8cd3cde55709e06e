using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using Flamingo.Checkpoints;

namespace Flamingo.Import.Tokenizers;

/// <summary>
/// A SentencePiece tokenizer.model (sentencepiece_model.proto) of the kind that LLaMA has: BPE with byte fallback. The conversion to
/// tokenizer.json gives the same result as that of transformers (convert_slow_tokenizer.py, LlamaConverter).
/// </summary>
internal sealed class SentencePieceModel
{
    private const int Bpe = 2, Unknown = 2, Control = 3;
    private const int LongestPiece = 256; // Bytes. The limit bounds the work, because the conversion tries every cut of a piece.

    private readonly List<(string Text, float Score, int Kind)> _pieces = [];
    private int _modelType = 1;
    private bool _byteFallback, _dummyPrefix = true, _removesSpaces = true;

    private SentencePieceModel()
    {
    }

    /// <exception cref="CheckpointException">The file is damaged, or is a SentencePiece model of another kind.</exception>
    public static SentencePieceModel Read(string file)
    {
        var model = new SentencePieceModel();
        try
        {
            foreach (var (field, value) in ProtobufFields.Read(TextFile.Read(file)))
            {
                if (field == 1 && model._pieces.Count == TokenizerLimits.MostTokens)
                    throw new FormatException($"more than {TokenizerLimits.MostTokens} pieces");
                if (field == 1) model._pieces.Add(Piece(value.Span));
                else if (field == 2) model.ReadTrainer(value.Span);
                else if (field == 3) model.ReadNormalizer(value.Span);
            }
        }
        catch (Exception exception) when (exception is FormatException or OverflowException or ArgumentException)
        {
            throw new CheckpointException($"{file} is not a SentencePiece model, or is damaged: {exception.Message}", exception);
        }

        if (model._modelType != Bpe || !model._byteFallback || !model._dummyPrefix || model._removesSpaces)
            throw new CheckpointException($"{file} is another kind of SentencePiece model than that of LLaMA (BPE with byte fallback, "
                + "which puts a space before a text and keeps all spaces). Supply a tokenizer.json instead.");
        if (model._pieces.Count == 0 || model._pieces.DistinctBy(piece => piece.Text).Count() != model._pieces.Count)
            throw new CheckpointException($"{file} holds no pieces, or holds a piece twice.");
        return model;
    }

    /// <summary>Converts the model to the content of a tokenizer.json.</summary>
    /// <param name="legacy">
    /// True puts a blank before every stretch of text between special tokens, even before a stretch that begins with a blank. False puts a
    /// blank only before the whole text, and only if the text does not begin with a blank.
    /// </param>
    public JsonObject ToTokenizerJson(bool legacy)
    {
        var ids = _pieces.Index().ToDictionary(item => item.Item.Text, item => item.Index);
        var special = _pieces.Index().Where(item => item.Item.Kind is Unknown or Control).ToList();
        var beginning = special.FirstOrDefault(item => item.Item.Text == "<s>");
        var template = beginning.Item.Text is null ? null : new JsonObject
        {
            ["type"] = "TemplateProcessing",
            ["single"] = new JsonArray(new JsonObject { ["SpecialToken"] = new JsonObject { ["id"] = "<s>", ["type_id"] = 0 } },
                new JsonObject { ["Sequence"] = new JsonObject { ["id"] = "A", ["type_id"] = 0 } }),
            ["pair"] = new JsonArray(),
            ["special_tokens"] = new JsonObject
            {
                ["<s>"] = new JsonObject { ["id"] = "<s>", ["ids"] = new JsonArray(beginning.Index), ["tokens"] = new JsonArray("<s>") },
            },
        };
        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray([.. special.Select(item => (JsonNode)new JsonObject
            {
                ["id"] = item.Index, ["content"] = item.Item.Text, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false,
                ["normalized"] = false, ["special"] = true,
            })]),
            ["normalizer"] = !legacy ? null : JsonNode.Parse("""
                {
                  "type": "Sequence",
                  "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]
                }
                """),
            ["pre_tokenizer"] = legacy ? null
                : JsonNode.Parse("""{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false}"""),
            ["post_processor"] = template,
            ["decoder"] = JsonNode.Parse("""
                {
                  "type": "Sequence",
                  "decoders": [
                    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                    {"type": "ByteFallback"},
                    {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0}
                  ]
                }
                """),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = special.FirstOrDefault(item => item.Item.Kind == Unknown).Item.Text,
                ["continuing_subword_prefix"] = null,
                ["end_of_word_suffix"] = null,
                ["fuse_unk"] = true,
                ["byte_fallback"] = true,
                ["vocab"] = new JsonObject(_pieces.Select((piece, id) => KeyValuePair.Create(piece.Text, (JsonNode?)id))),
                ["merges"] = new JsonArray([.. Merges(ids).Select(merge => (JsonNode)new JsonArray(merge.Left, merge.Right))]),
            },
        };
    }

    // Lists every pair of pieces that makes another piece, with the best resulting piece first. A SentencePiece model has scores of pieces
    // and no merges, but a tokenizer.json needs merges.
    private IEnumerable<(string Left, string Right)> Merges(Dictionary<string, int> ids) =>
        from piece in _pieces.Index()
        orderby piece.Item.Score descending, piece.Index
        from merge in from cut in Enumerable.Range(1, Math.Max(0, piece.Item.Text.Length - 1))
                      let left = piece.Item.Text[..cut]
                      let right = piece.Item.Text[cut..]
                      where ids.ContainsKey(left) && ids.ContainsKey(right)
                      orderby ids[left], ids[right]
                      select (left, right)
        select merge;

    private static (string Text, float Score, int Kind) Piece(ReadOnlySpan<byte> message)
    {
        var (text, score, kind) = ("", 0f, 1);
        foreach (var (field, value) in ProtobufFields.Read(message.ToArray()))
        {
            if (field == 1 && value.Length > LongestPiece) throw new FormatException($"a piece of {value.Length} bytes");
            else if (field == 1) text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(value.Span);
            else if (field == 2) score = BinaryPrimitives.ReadSingleLittleEndian(value.Span);
            else if (field == 3) kind = (int)ProtobufFields.Integer(value);
        }

        return (text, score, kind);
    }

    private void ReadTrainer(ReadOnlySpan<byte> message)
    {
        foreach (var (field, value) in ProtobufFields.Read(message.ToArray()))
        {
            if (field == 3) _modelType = (int)ProtobufFields.Integer(value);
            else if (field == 35) _byteFallback = ProtobufFields.Integer(value) != 0;
        }
    }

    private void ReadNormalizer(ReadOnlySpan<byte> message)
    {
        foreach (var (field, value) in ProtobufFields.Read(message.ToArray()))
        {
            if (field == 3) _dummyPrefix = ProtobufFields.Integer(value) != 0;
            else if (field == 4) _removesSpaces = ProtobufFields.Integer(value) != 0;
        }
    }
}
