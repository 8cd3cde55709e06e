using System.Text.Json;
using Flamingo.Checkpoints;
using Flamingo.Import.Languages;
using Flamingo.Import.Sources;
using Flamingo.Import.Tokenizers;
using Flamingo.Import.Vision;

namespace Flamingo.Import.Idefics;

/// <summary>
/// Reads a checkpoint of transformers' IdeficsForVisionText2Text: a CLIP vision tower, a resampler (or none), and a LLaMA with gated
/// blocks and an additional vocabulary.
/// </summary>
internal sealed class IdeficsReader : IPublicationReader
{
    private const string AroundImage = "<fake_token_around_image>", Image = "<image>", EndOfUtterance = "<end_of_utterance>",
        EndOfText = "</s>";

    private readonly IdeficsSource _source;
    private readonly WeightSource _weights;
    private readonly JsonDocument _config;
    private readonly string _configFile, _preprocessorFile;

    public IdeficsReader(IdeficsSource source)
    {
        _source = source;
        (_configFile, _preprocessorFile) =
            (Path.Combine(source.Folder, "config.json"), Path.Combine(source.Folder, "preprocessor_config.json"));
        OtherWeights.RefuseFolder(source.Folder);
        _config = ConfigJson.Open(_configFile);
        try
        {
            if (_config.RootElement.Member("model_type")?.ToString() != "idefics")
                throw new CheckpointException($"{_configFile}: model_type is '{_config.RootElement.Member("model_type")}', not idefics.");
            _weights = WeightSource.Open(source.Folder);
        }
        catch
        {
            _config.Dispose();
            throw;
        }

        Files = [.. _weights.Files.Concat(new[] { _configFile, _preprocessorFile }.Where(File.Exists))
            .Concat(TokenizerTranslation.FilesIn(source.Folder))];
    }

    public string Layout => "idefics";

    public string Settings => $"dtype {_source.Dtype ?? "as published"}{(Alpha is null ? "" : $", alpha {Alpha}")}";

    public string? Dtype => _source.Dtype;

    public string? Alpha => _source.Alpha;

    public IReadOnlyList<string> Files { get; }

    public Publication Read(ImportReport report) => ConfigJson.Within(_configFile, () =>
    {
        var config = _config.RootElement;
        var weights = new WeightCollector(_weights, "the checkpoint", report.Faults);
        var (visionPart, resamplerPart, languagePart) = (weights.NewPart(), weights.NewPart(), weights.NewPart());

        using var preprocessor = File.Exists(_preprocessorFile) ? ConfigJson.Open(_preprocessorFile) : null;
        var vision = HuggingFaceClip.Take(visionPart, "model.", config.GetProperty("vision_config"), "embed_dim", "gelu", heads: 16) with
        {
            ClassTokenInFeatures = true,
            Preprocessing = HuggingFaceClip.Preprocessing("square", "white", preprocessor?.RootElement),
        };
        var resampler = IdeficsTranslation.TakeResampler(resamplerPart, config, vision);
        var llama = new Llama(config);
        IdeficsTranslation.CheckKeys(config, _configFile, llama, report);
        if (preprocessor is not null)
            HuggingFaceClip.CheckPreprocessing(preprocessor.RootElement, _preprocessorFile, vision.ImageSize, report);
        // Text after the end-of-text token attends to no picture, so its id must be the one that the model was trained with.
        TokenizerSettings.Check(_source.Folder, report, EndOfText);
        var vocabulary = config.GetProperty("vocab_size").GetInt32() + config.Integer("additional_vocab_size", 0);
        IdeficsTranslation.TakeEmbeddings(languagePart, llama, config);
        var language = llama.Take(languagePart, vocabulary, IdeficsTranslation.TakeGated(languagePart, config, llama, vision.Width));

        weights.Ignore(name =>
            name.StartsWith("model.vision_model.post_layernorm.", StringComparison.Ordinal)
                || name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal));
        weights.ReportUnused();
        return new Publication(vision, resampler, language,
            [("vision", visionPart.Tensors), ("resampler", resamplerPart.Tensors), ("language", languagePart.Tensors)]);
    });

    public TokensConfig WriteTokenizer(string file, int vocabulary) => ConfigJson.Within(TokenizerTranslation.FileIn(_source.Folder), () =>
    {
        var tokenizer = TokenizerTranslation.Read(_source.Folder);
        SpecialToken Required(string text) =>
            tokenizer.Find(text) ?? throw new CheckpointException($"The tokenizer has no token '{text}'; it is not an IDEFICS tokenizer.");
        var (image, around, end, utterance) = (Required(Image), Required(AroundImage), Required(EndOfText), tokenizer.Find(EndOfUtterance));
        tokenizer.Write(file, vocabulary, _source.CheckTokenizer);
        return new TokensConfig
        {
            Image = image,
            AroundImage = around,
            EndOfChunk = utterance ?? end, // This token separates shots. Base checkpoints have no end of utterance.
            Beginning = tokenizer.Beginning,
            Stop = [.. new[] { end, utterance }.OfType<SpecialToken>().Select(token => token.Id)],
            Banned = [image.Id, around.Id],
            HidesPictures = [end.Id],
        };
    });

    public PromptsConfig Prompts(TokensConfig tokens) =>
        PromptsConfig.Idefics(tokens.EndOfChunk.Text == EndOfUtterance ? EndOfUtterance : null);

    public void Dispose()
    {
        _weights.Dispose();
        _config.Dispose();
    }
}
