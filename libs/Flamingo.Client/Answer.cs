using System.Text;
using Flamingo.Protos.V1;
using Grpc.Core;

namespace Flamingo.Client;

/// <summary>One of the answers to a prompt.</summary>
/// <param name="Text">Never with the stop token.</param>
/// <param name="Ids">Token ids, the stop token included.</param>
/// <param name="LogProbabilities">One per id, where asked for.</param>
/// <param name="Attention">One per id, where asked for; without a map for a token that sees no picture.</param>
public sealed record AnswerSample(string Text, IReadOnlyList<int> Ids, IReadOnlyList<TokenLogProbability> LogProbabilities, IReadOnlyList<AttentionMap> Attention);

/// <summary>Everything that came back for a prompt.</summary>
/// <param name="Samples">At least one; with beams the best first.</param>
/// <param name="Pictures">Per picture of the prompt, the shots of a support set first: its id for later requests, and where its latents came from.</param>
public sealed record Answer(IReadOnlyList<AnswerSample> Samples, IReadOnlyList<PictureReport> Pictures, AnswerFinished Finished)
{
    /// <summary>What the latent cache did for this prompt.</summary>
    public CacheUse Cache { get; init; } = new();

    /// <summary>What was drawn from a support set, where one was asked for.</summary>
    public SelectedShots? Shots { get; init; }

    /// <summary>Of the first answer.</summary>
    public string Text => Samples[0].Text;

    /// <summary>Of the first answer.</summary>
    public IReadOnlyList<int> Ids => Samples[0].Ids;

    internal static async Task<Answer> ReadAsync(IAsyncEnumerable<GenerateResponse> stream)
    {
        var (tokens, pictures) = (new SortedDictionary<int, List<AnswerTokens>> { [0] = [] }, new PicturesResolved());
        AnswerFinished? finished = null;
        await foreach (var message in stream)
        {
            switch (message.EventCase)
            {
                case GenerateResponse.EventOneofCase.Pictures:
                    pictures = message.Pictures;
                    break;
                case GenerateResponse.EventOneofCase.Tokens:
                    if (!tokens.TryGetValue(message.Tokens.Sample, out var sample)) tokens[message.Tokens.Sample] = sample = [];
                    sample.Add(message.Tokens);
                    break;
                case GenerateResponse.EventOneofCase.Finished:
                    finished = message.Finished;
                    break;
            }
        }

        if (finished is null) throw FlamingoException.From(new RpcException(new Status(StatusCode.Internal, "The answer ended without its last message.")));
        return new Answer([.. tokens.Values.Select(Join)], pictures.Pictures, finished) { Cache = pictures.Cache ?? new CacheUse(), Shots = pictures.Shots };
    }

    private static AnswerSample Join(List<AnswerTokens> parts)
    {
        var text = new StringBuilder();
        foreach (var part in parts) text.Append(part.Text);
        return new AnswerSample(
            text.ToString(), [.. parts.SelectMany(part => part.Ids)], [.. parts.SelectMany(part => part.LogProbabilities)], [.. parts.SelectMany(part => part.Attention)]);
    }
}
