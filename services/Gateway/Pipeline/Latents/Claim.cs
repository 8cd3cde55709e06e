using Flamingo.Abstractions;

namespace Flamingo.Gateway.Latents;

/// <summary>A picture that one request of this process encodes, and for which others may wait.</summary>
internal sealed class Claim(RequestedPicture picture, string key)
{
    public RequestedPicture Picture { get; } = picture;

    public string Key { get; } = key;

    /// <summary>Number of requests that wait for the answer, the owner included. The cache's lock guards it.</summary>
    public int Waiting { get; set; } = 1;

    /// <summary>Cancelled when no request waits any more.</summary>
    public CancellationTokenSource Withdrawal { get; } = new();

    /// <summary>Completed when the picture is encoded, or when its encoding has failed or has been cancelled.</summary>
    public TaskCompletionSource<PictureLatents> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Waits for the answer on behalf of another request.</summary>
    /// <returns>
    /// Null if the owner's result cannot be used: it lacks attention or an embedding that the other request needs, or the owner's
    /// request failed with InvalidArgument. That error may be about another picture, and it names fields of the owner's request.
    /// </returns>
    public async Task<PictureLatents?> AnswerForAsync(RequestedPicture other, CancellationToken cancellation)
    {
        var covers = Picture.Covers(other);
        try
        {
            var answer = await Answer.Task.WaitAsync(cancellation);
            return covers ? answer : null;
        }
        catch (FlamingoException exception) when (!covers || exception.Kind == FlamingoErrorKind.InvalidArgument)
        {
            return null;
        }
    }
}
