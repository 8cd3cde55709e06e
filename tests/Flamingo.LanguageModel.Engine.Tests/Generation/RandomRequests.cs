using Flamingo.Abstractions;
using Flamingo.LanguageModel.Engine.Generation;
using Flamingo.LanguageModel.Engine.Scheduling;
using Flamingo.LanguageModel.Engine.Tests.Scripted;
using Flamingo.Stages;

namespace Flamingo.LanguageModel.Engine.Tests.Generation;

/// <summary>
/// Random requests over a tiny vocabulary and five pictures. Most of them begin like other requests or continue after an answer.
/// </summary>
internal sealed class RandomRequests
{
    private readonly Random _random;
    private readonly ModelMemory _memory;
    private readonly EngineLimits _limits;
    private readonly TimeProvider _time;
    private readonly string[] _beginnings;

    public RandomRequests(Random random, ModelMemory memory, EngineLimits limits, TimeProvider time)
    {
        (_random, _memory, _limits, _time) = (random, memory, limits, time);
        _beginnings = [.. Enumerable.Range(0, 3).Select(_ => Text(random.Next(2, 18)))];
    }

    public static TimeSpan LongestPin { get; } = TimeSpan.FromSeconds(60);

    public TrackedRequest Next(IReadOnlyList<TrackedRequest> earlier)
    {
        var text = _random.Next(6) == 0 && Conversation(earlier) is { } turns ? turns : _beginnings[_random.Next(_beginnings.Length)];
        if (_random.Next(3) == 0) text = text[.._random.Next(1, text.Length + 1)];
        if (_random.Next(3) > 0) text += Text(_random.Next(1, 6));
        if (_random.Next(40) == 0) text += "k"; // the model's logits after it are not finite
        var prompt = Prompts.Of(text, _random.Next(1, 14), latents: _random.Next(6) > 0);
        var terms = Prompts.Terms(
            _random.Next(4) == 0 ? "another" : "",
            _random.Next(8) == 0 ? TimeSpan.FromSeconds(_random.Next(1, (int)LongestPin.TotalSeconds)) : null);
        return _random.Next(6) == 0
            ? new TrackedRequest(
                prompt, terms,
                [
                    .. Enumerable.Range(0, _random.Next(1, 8))
                        .Select(_ => Enumerable.Range(0, _random.Next(1, 7)).Select(_ => _random.Next(9)).ToArray())
                ],
                _limits.MaxCandidatesAtOnce, _memory, _time)
            : new TrackedRequest(prompt, terms, Sampling(), _time);
    }

    public bool NeverFits(TrackedRequest request) =>
        request.Request.BlocksNeeded(_memory.BlockTokens) > _memory.Blocks
        || request.Prompt.Keys.Distinct().Count() > _memory.PictureSlots
        || request.Request.Width > _limits.MaxSequences
        || (request.Request.Terms.PinPrefix is not null && request.Prompt.Ids.Count / _memory.BlockTokens > _memory.Blocks / 4);

    private SamplingParameters Sampling()
    {
        var sampling = new SamplingParameters
        {
            RepetitionPenalty = _random.Next(4) == 0 ? 1.3f : 1, StopTokens = _random.Next(4) == 0 ? [3] : [],
            FrequencyPenalty = _random.Next(4) == 0 ? (float)(_random.NextDouble() * 4) - 2 : 0,
            PresencePenalty = _random.Next(4) == 0 ? (float)(_random.NextDouble() * 4) - 2 : 0,
            NoRepeatNgramSize = _random.Next(3) == 0 ? _random.Next(1, 4) : 0,
            MinTokens = _random.Next(4) == 0 ? _random.Next(1, 7) : 0,
            AllowedTokens = _random.Next(10) switch { 0 => [0, 1, 2], 1 => [0, 5, ScriptedModel.Stop], _ => [] },
        };
        if (_random.Next(5) == 0)
            return sampling with { Beams = _random.Next(2, 4), Samples = _random.Next(1, 3), LengthPenalty = _random.Next(3) - 0.5f };
        if (_random.Next(4) == 0) sampling = sampling with { StopStrings = ["ab", "c"] };
        return _random.Next(2) == 0
            ? sampling
            : sampling with
            {
                Temperature = 1, Seed = (ulong)_random.Next(100), Samples = _random.Next(1, 5), TopK = _random.Next(2) * 5,
                TopP = _random.Next(2) == 0 ? 1 : 0.8f, MinP = _random.Next(2) * 0.1f,
            };
    }

    // the earlier prompt, its answer, and a new question
    private static string? Conversation(IReadOnlyList<TrackedRequest> earlier)
    {
        var last = earlier.LastOrDefault(request => request.Sampling is { Beams: 1 } && request.HasEnded && request.Failure is null);
        if (last is null || last.Prompt.Ids.Count > 40) return null;
        var (text, picture) = ("", 0);
        foreach (var id in last.Prompt.Ids) text += id == ScriptedModel.Image ? last.Prompt.Keys[picture++][^1..] : ScriptedText.Letter(id);
        return text + string.Concat(last.Answers[0].Ids.Where(id => id < ScriptedModel.Image).Select(ScriptedText.Letter));
    }

    private string Text(int length) => string.Concat(Enumerable.Range(0, length)
        .Select(_ => _random.Next(5) == 0 ? (char)('0' + _random.Next(5)) : _random.Next(12) == 0 ? 'i' : (char)('a' + _random.Next(3))));
}
