using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Text;
using Flamingo.Abstractions;

namespace Flamingo.Gateway.Doors.Tests;

/// <summary>
/// A public service that checks requests by the real rules, keeps them, and answers what a test says. Its tokens are the words of the
/// answer: id 10 for the first, and so on.
/// </summary>
internal sealed class ScriptedFlamingo : IFlamingo
{
    public FlamingoModel Model { get; set; } = new(
        new("scripted", "vision-1", "pre-1", 8, 4, 6, 3, TensorDtype.Float32, 1000, 16 << 20, 64),
        new("scripted", "resampler-1", 6, 2, 5, 1, TensorDtype.Float32, 64),
        new("scripted", "language-1", 50, 400, 2, 5, "<image>", ["<image>"], "<|endofchunk|>", 8)
        {
            CrossAttentionLayers = 3, CrossAttentionHeads = 2, MaxSamples = 4, MaxPin = TimeSpan.FromMinutes(1), Prompts = Templates.Words,
        });

    /// <summary>The words of every answer.</summary>
    public IReadOnlyList<string> Says { get; set; } = [" a", " dog"];

    public FinishReason Reason { get; set; } = FinishReason.Stop;

    /// <summary>What every call fails with before its first event.</summary>
    public Exception? Fails { get; set; }

    /// <summary>What an answer fails with after its first word.</summary>
    public Exception? FailsLater { get; set; }

    /// <summary>An answer waits for it after its first word.</summary>
    public Task Gate { get; set; } = Task.CompletedTask;

    public TaskCompletionSource Cancelled { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ConcurrentQueue<FlamingoRequest> Requests { get; } = new();

    public ConcurrentQueue<FlamingoEncodeRequest> Encoded { get; } = new();

    /// <summary>Pictures that were sent as bytes and are known by their ids.</summary>
    public ConcurrentDictionary<string, bool> Known { get; } = new();

    public FlamingoRequest Asked => Requests.Last();

    /// <summary>The prompt of the last request; [picture] stands for a picture.</summary>
    public string Prompt => string.Concat(Asked.Segments.Select(segment => segment is FlamingoText text ? text.Text : "[picture]"));

    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(
        FlamingoRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        Requests.Enqueue(request);
        await Task.Yield();
        if (Fails is not null) throw Fails;
        var (sampling, faults) = (request.Sampling, new FaultList());
        PromptRules.CheckSampling(sampling, Model.Language, faults);
        PromptRules.CheckAttention(request.Attention, sampling, Model.Language, faults);
        PromptRules.CheckPin(request.PinPrefix, Model.Language, faults);
        PromptRules.CheckTexts(
            request.Segments.Index().Where(item => item.Item is FlamingoText).Select(item => (item.Index, ((FlamingoText)item.Item).Text)),
            Model.Language, faults);
        PromptRules.ThrowIfAny(faults);
        var pictures = Report([.. request.Segments.OfType<FlamingoVisual>()]);
        yield return new PicturesResolved(pictures, Milliseconds(1), Milliseconds(2), Milliseconds(3))
        {
            Cache = CacheOf(pictures),
            Shots = request.SupportSet is { } set ? new SelectedShots(set.Name, 3, [1, 0]) : null,
        };
        foreach (var sample in Enumerable.Range(0, sampling.Samples))
        {
            if (sampling.Beams > 1)
            {
                yield return new AnswerTokens(string.Concat(Says), [.. Says.Select((_, index) => 10 + index)]) { Sample = sample };
                continue;
            }

            foreach (var (index, word) in Says.Index())
            {
                yield return new AnswerTokens(word, [10 + index])
                {
                    Sample = sample,
                    LogProbabilities = sampling.LogProbabilities is { } most ? [Likely(word, index, most)] : [],
                    Attention = request.Attention is null ? [] : [new TokenAttention(0, TensorData.FromFloats([0.25f, 0.75f], 2))
                    {
                        Map = TensorData.FromFloats([0.5f, 0, 0, 0.5f], 2, 2),
                    }],
                };
                if (FailsLater is not null) throw FailsLater;
                await WaitAsync(cancellation);
            }
        }

        yield return new AnswerFinished(
            Reason, 7, Says.Count * sampling.Samples, sampling.Seed ?? 4711, Times(),
            new ModelDigests("vision-1", "resampler-1", "language-1"))
        {
            CachedTokens = 5,
            Samples = [.. Enumerable.Range(0, sampling.Samples)
                .Select(_ => new FinishedSample(Reason, Says.Count, sampling.Beams > 1 ? -1.5 : null))],
        };
    }

    public Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request, CancellationToken cancellation)
    {
        Encoded.Enqueue(request);
        if (Fails is not null) throw Fails;
        var pictures = Report(request.Pictures);
        return Task.FromResult(new FlamingoEncoding(
            pictures, request.IncludePooled ? [.. pictures.Select((_, index) => TensorData.FromFloats([index, 0.5f, -1], 3))] : [], Times(),
            new ModelDigests("vision-1", "resampler-1", "language-1")) { Cache = CacheOf(pictures) });
    }

    public Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) => Task.FromResult(Model);

    public Task<FlamingoRanking> RankAsync(FlamingoRankRequest request, CancellationToken cancellation) =>
        throw new NotSupportedException();

    private async Task WaitAsync(CancellationToken cancellation)
    {
        try
        {
            await Gate.WaitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            Cancelled.TrySetResult();
            throw;
        }
    }

    private List<PictureReport> Report(IReadOnlyList<FlamingoVisual> visuals)
    {
        var missing = visuals.OfType<FlamingoPictureId>().Select(picture => picture.Id).Where(id => !Known.ContainsKey(id)).ToList();
        if (missing.Count > 0)
            throw new FlamingoException(FlamingoErrorKind.NotFound, $"Pictures are not held: {missing[0]}. Send them again.")
            {
                Missing = missing,
            };
        return [.. visuals.Select(visual => visual switch
        {
            FlamingoPicture picture when PictureId.Of(picture.Bytes.Span) is var id =>
                new PictureReport(id, Known.TryAdd(id, true) ? PictureSource.Encoded : PictureSource.Memory),
            FlamingoPictureId known => new PictureReport(known.Id, PictureSource.Memory),
            _ => throw new NotSupportedException(),
        })];
    }

    private static CacheUse CacheOf(List<PictureReport> pictures) => new(
        pictures.Count(picture => picture.Source == PictureSource.Memory), 0,
        pictures.Count(picture => picture.Source == PictureSource.Encoded),
        0, Milliseconds(4));

    private static TokenLogProbability Likely(string word, int index, int most) =>
        new(10 + index, -0.5f, [.. Enumerable.Range(0, most).Select(rank => (10 + index + rank, -0.5f - rank))])
        {
            Texts = [Encoding.UTF8.GetBytes(word), .. Enumerable.Range(0, most)
                .Select(rank => (ReadOnlyMemory<byte>)(rank == 0 ? Encoding.UTF8.GetBytes(word) : [0xE2, (byte)(0x80 + rank)]))],
        };

    private static StageTimings Times() =>
        new(Milliseconds(1), Milliseconds(2), Milliseconds(3), Milliseconds(4), Milliseconds(5), Milliseconds(6));

    private static TimeSpan Milliseconds(int count) => TimeSpan.FromMilliseconds(count);
}

/// <summary>Templates of real checkpoints.</summary>
internal static class Templates
{
    /// <summary>Those of OpenFlamingo, which has none for chats.</summary>
    public static PromptTemplates Words { get; } = new()
    {
        Caption = new("{picture}Output:{answer}<|endofchunk|>")
        {
            ZeroShot = [new("", "a small red circle"), new("", "two large blue squares")], CutAt = ["Output"],
        },
        Answer = new("{picture}Question:{question} Short answer:{answer}<|endofchunk|>")
        {
            ZeroShot = [new("what color is the circle?", "red"), new("how many shapes are there?", "two")], CutAt = ["Question"],
        },
    };

    /// <summary>With that of IDEFICS instruct.</summary>
    public static PromptTemplates Chat { get; } = Words with
    {
        Chat = new("User:{picture}{question}<end_of_utterance>\nAssistant: {answer}<end_of_utterance>\n"),
    };
}
