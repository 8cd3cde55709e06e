using System.Runtime.CompilerServices;
using Flamingo.Abstractions;
using Flamingo.Stages;

namespace Flamingo.SystemTests.Tasks;

/// <summary>Records the prompt that a task creates, and passes it on to the model.</summary>
internal sealed class Recorder(IFlamingo flamingo) : IFlamingo
{
    /// <summary>The segments of the last prompt.</summary>
    public IReadOnlyList<FlamingoSegment> Segments { get; private set; } = [];

    /// <summary>The token ids of the last prompt.</summary>
    public Task<IReadOnlyList<int>> TokenizeAsync(ILanguageModel model, CancellationToken cancellation) =>
        model.TokenizeAsync([.. Segments.Select(
            segment =>
                segment is FlamingoText text ? (PromptSegment)new TextSegment(text.Text) : new PictureSegment(new string('0', 64), null))],
                cancellation);

    public async IAsyncEnumerable<AnswerEvent> GenerateAsync(FlamingoRequest request,
        [EnumeratorCancellation] CancellationToken cancellation)
    {
        Segments = request.Segments;
        await foreach (var item in flamingo.GenerateAsync(request, cancellation)) yield return item;
    }

    public Task<FlamingoRanking> RankAsync(FlamingoRankRequest request,
        CancellationToken cancellation) => flamingo.RankAsync(request, cancellation);

    public Task<FlamingoEncoding> EncodeAsync(FlamingoEncodeRequest request,
        CancellationToken cancellation) => flamingo.EncodeAsync(request, cancellation);

    public Task<FlamingoModel> GetModelAsync(CancellationToken cancellation) => flamingo.GetModelAsync(cancellation);
}
