using System.Diagnostics;

namespace Flamingo.Gateway.Latents;

/// <summary>A picture that one request of this process encodes, and for which others may wait.</summary>
internal sealed class PictureClaim(RequestedPicture picture, string key)
{
    public RequestedPicture Picture { get; } = picture;

    public string Key { get; } = key;

    /// <summary>A link to the request that encodes the picture, for the spans of those that wait; empty if it is not traced.</summary>
    public IReadOnlyList<ActivityLink> Links { get; } = Activity.Current is { } owner ? [new ActivityLink(owner.Context)] : [];

    /// <summary>Number of requests that wait, the owner included; changed under the lock. At 0 the claim is withdrawn.</summary>
    public int Waiting { get; set; } = 1;

    /// <summary>Cancelled when the claim was withdrawn.</summary>
    public CancellationTokenSource Withdrawal { get; } = new();

    /// <summary>Completed when the picture is encoded, or when its encoding has failed or has been cancelled.</summary>
    public TaskCompletionSource<PictureLatents> Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}
