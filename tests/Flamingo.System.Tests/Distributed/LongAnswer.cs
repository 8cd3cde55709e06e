using Flamingo.Abstractions;
using Flamingo.Wire;
using Grpc.Core;
using Grpc.Net.Client;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.SystemTests.Distributed;

/// <summary>
/// An answer that runs for some seconds and is read while it arrives, over its own connection. Its length is certain, because a penalty
/// below 1 makes a greedy answer repeat tokens of its prompt, which does not contain the stop token.
/// </summary>
internal sealed class LongAnswer : IDisposable
{
    public const int Tokens = 1900;

    private readonly GrpcChannel _channel;
    private readonly AsyncServerStreamingCall<V1.GenerateResponse> _call;
    private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _received;

    /// <param name="address">The address of a gateway.</param>
    public LongAnswer(string address, double deadlineSeconds = 120)
    {
        _channel = GrpcChannel.ForAddress(address);
        _call = new V1.Flamingo.FlamingoClient(_channel).Generate(
            new FlamingoRequest(Prompt.Segments, Sampling).ToMessage(), deadline: Deadline.In(deadlineSeconds),
            cancellationToken: TestContext.Current.CancellationToken);
        Finished = ReadAsync();
    }

    public static Prompt Prompt => new Prompt().Text("small red circle small red circle small red circle");

    public static SamplingParameters Sampling => new() { MaxTokens = Tokens, RepetitionPenalty = 0.1f };

    /// <summary>Completes when the first token has arrived.</summary>
    public Task Begun => _begun.Task;

    /// <summary>The number of tokens so far.</summary>
    public int Received => Volatile.Read(ref _received);

    /// <exception cref="RpcException">The answer ended early.</exception>
    public Task<AnswerFinished> Finished { get; }

    /// <summary>Resets the stream.</summary>
    public void Cancel() => _call.Dispose();

    /// <summary>Closes the connection.</summary>
    public void Disconnect() => _channel.Dispose();

    /// <summary>Waits for the error that ended the answer.</summary>
    public async Task<StatusCode> StatusAsync() => (await Assert.ThrowsAsync<RpcException>(() => Finished)).StatusCode;

    public void Dispose()
    {
        _call.Dispose();
        _channel.Dispose();
    }

    private async Task<AnswerFinished> ReadAsync()
    {
        try
        {
            while (await _call.ResponseStream.MoveNext(CancellationToken.None))
            {
                var item = _call.ResponseStream.Current.ToRecord();
                if (item is AnswerFinished finished) return finished;
                if (item is not AnswerTokens tokens) continue;
                Interlocked.Add(ref _received, tokens.Ids.Count);
                _begun.TrySetResult();
            }

            throw new InvalidOperationException("The answer ended without its last event.");
        }
        catch (Exception exception)
        {
            _begun.TrySetException(exception);
            throw;
        }
    }
}

internal static class Deadline
{
    public static DateTime In(double seconds) => TimeProvider.System.GetUtcNow().UtcDateTime.AddSeconds(seconds);
}
