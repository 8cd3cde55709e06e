using Grpc.Core;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Transport.Tests.Serving.Arrival;

/// <summary>A caller of another tenant, on another connection, that expects an answer within 10 s while others attack.</summary>
internal static class Neighbour
{
    public static async Task AskAsync(ArrivalServer server, CancellationToken cancellation)
    {
        var deadline = TimeProvider.System.GetUtcNow().UtcDateTime.AddSeconds(10);
        using var call = new V1.Flamingo.FlamingoClient(server.Channel).Generate(
            new V1.GenerateRequest { Segments = { new V1.PromptSegment { Text = "a" } } },
            new Metadata { { "flamingo-tenant", "neighbour" } }, deadline, cancellation);
        Assert.Equal(2, await call.ResponseStream.ReadAllAsync(cancellation).CountAsync(cancellation));
    }
}

/// <summary>Samples the memory of this process, in which the server and its callers run.</summary>
internal sealed class MemoryWatch : IDisposable
{
    private readonly long _before;
    private readonly Timer _timer;
    private long _most;

    public MemoryWatch()
    {
        GC.Collect();
        _before = _most = Now();
        _timer = new Timer(_ => Sample(), null, 0, 10);
    }

    /// <summary>Bytes by which the process has grown at most.</summary>
    public long Growth
    {
        get
        {
            Sample();
            return Interlocked.Read(ref _most) - _before;
        }
    }

    public void Dispose() => _timer.Dispose();

    private void Sample()
    {
        var now = Now();
        for (var most = Interlocked.Read(ref _most); now > most; most = Interlocked.Read(ref _most))
            Interlocked.CompareExchange(ref _most, now, most);
    }

    private static long Now() => Environment.WorkingSet;
}
