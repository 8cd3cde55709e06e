using Flamingo.Checkpoints;
using Flamingo.Import.Sources;
using Flamingo.Import.Tokenizers;
using Flamingo.Import.Vision;

namespace Flamingo.Import.OpenFlamingo;

/// <summary>
/// Reads the three publications that make an OpenFlamingo model: a CLIP, a language model, and the checkpoint.pt with the weights that
/// connect them. A new bridge stands in for checkpoint.pt where there is none.
/// </summary>
internal sealed class OpenFlamingoReader : IPublicationReader
{
    private readonly OpenFlamingoSource _source;
    private readonly NewBridge? _bridge;
    private readonly string _visionFolder, _configFile;
    private readonly List<WeightSource> _open = [];
    private readonly WeightSource _vision, _language;
    private readonly WeightSource? _checkpoint;

    /// <param name="source">The publications. The path of the checkpoint is not read if there is a new bridge.</param>
    /// <param name="bridge">What stands in for checkpoint.pt; null to read it.</param>
    public OpenFlamingoReader(OpenFlamingoSource source, NewBridge? bridge = null)
    {
        (_source, _bridge) = (source, bridge);
        _visionFolder = Directory.Exists(source.Vision) ? source.Vision : Path.GetDirectoryName(Path.GetFullPath(source.Vision))!;
        _configFile = Path.Combine(source.Language, "config.json");
        try
        {
            (_vision, _language) = (Open(source.Vision), Open(source.Language));
            if (bridge is null) _checkpoint = Open(source.Checkpoint);
        }
        catch
        {
            Dispose();
            throw;
        }

        var configurations = new[] { "open_clip_config.json", "config.json", "preprocessor_config.json" }
            .Select(name => Path.Combine(_visionFolder, name)).Append(_configFile).Concat(TokenizerTranslation.FilesIn(source.Language));
        Files = [.. _open.SelectMany(weights => weights.Files).Concat(configurations.Where(File.Exists).Distinct())];
    }

    public string Layout => _bridge is null ? "openflamingo" : BridgeAssembly.Layout;

    public string Settings =>
        (_bridge is null ? "" : $"new bridge of {_bridge.Latents} latents and {_bridge.Depth} resampler layers, seed {_bridge.Seed}, ")
        + $"cross-attention every {_source.CrossAttentionEvery}, dtype {_source.Dtype ?? "as published"}"
        + (Alpha is null ? "" : $", alpha {Alpha}");

    public string? Dtype => _source.Dtype;

    public string? Alpha => _source.Alpha;

    public IReadOnlyList<string> Files { get; }

    public Publication Read(ImportReport report)
    {
        var visionWeights = new WeightCollector(_vision, "the vision weights", report.Faults);
        var vision = VisionTranslation.Translate(_vision, _visionFolder, visionWeights, report);
        var connecting = _checkpoint ?? ConfigJson.Within(_configFile, () => _bridge!.Create(
            _source, vision, _configFile, _language, () => ReadTokenizer().Tokenizer.Vocabulary, report));
        var checkpoint = new WeightCollector(connecting, _bridge is null ? "the checkpoint" : "the new bridge", report.Faults);
        var (resamplerPart, languagePart) = (checkpoint.NewPart(), checkpoint.NewPart());
        var resampler = ResamplerTranslation.Translate(resamplerPart);
        var (language, languageTensors) = ConfigJson.Within(_configFile, () =>
            LanguageTranslation.Translate(_language, _configFile, languagePart, _source.CrossAttentionEvery, resampler.Width, report));
        TokenizerSettings.Check(_source.Language, report);
        // Version 1 saved buffers of the frozen vision tower, whose weights come from its own publication.
        checkpoint.Ignore(name => name.StartsWith("vision_encoder.", StringComparison.Ordinal));
        checkpoint.ReportUnused();
        if (resampler.Width != vision.Width)
            report.Faults.Add($"misfit: the vision tower has width {vision.Width}, the resampler has width {resampler.Width}");
        return new Publication(vision, resampler, language,
            [("vision", visionWeights.Tensors), ("resampler", resamplerPart.Tensors), ("language", languageTensors)]);
    }

    public TokensConfig WriteTokenizer(string file, int vocabulary) =>
        ConfigJson.Within(TokenizerTranslation.FileIn(_source.Language), () =>
    {
        var (tokenizer, tokens) = ReadTokenizer();
        tokenizer.Write(file, vocabulary, _source.CheckTokenizer);
        return tokens;
    });

    public PromptsConfig Prompts(TokensConfig tokens) => PromptsConfig.OpenFlamingo(tokens.EndOfChunk.Text);

    public void Dispose() => _open.ForEach(weights => weights.Dispose());

    // The tokenizer with the tokens that OpenFlamingo's training adds, in its order.
    private (TokenizerTranslation Tokenizer, TokensConfig Tokens) ReadTokenizer()
    {
        var tokenizer = TokenizerTranslation.Read(_source.Language);
        var end = tokenizer.Add("<|endofchunk|>");
        var image = tokenizer.Add("<image>");
        var padding = tokenizer.HasPadding ? null : tokenizer.Add("<PAD>");
        return (tokenizer, new TokensConfig
        {
            Image = image, EndOfChunk = end, Padding = padding, Beginning = tokenizer.Beginning, Stop = [end.Id],
        });
    }

    private WeightSource Open(string path)
    {
        var weights = WeightSource.Open(path);
        _open.Add(weights);
        return weights;
    }
}
