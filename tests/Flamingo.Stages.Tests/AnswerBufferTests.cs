#pragma warning disable xUnit1069 // Timely is the token that the analyzer asks for

using Flamingo.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Stages.Tests;

public sealed class AnswerBufferTests : IDisposable
{
    private static readonly TimeSpan Stall = TimeSpan.FromSeconds(10);

    private readonly FakeTimeProvider _time = new();
    private readonly AnswerBuffer _buffer;

    public AnswerBufferTests() => _buffer = new AnswerBuffer(Stall, "Section:Option", _time);

    public void Dispose() => _buffer.Dispose();

    private static CancellationToken Timely => TestContext.Current.CancellationToken;

    [Fact(Timeout = 30_000)]
    public async Task Events_come_in_order_and_then_the_end()
    {
        var reading = ReadAsync();
        for (var id = 0; id < 1000; id++) _buffer.Write(Token(id));
        _buffer.Complete();
        Assert.Equal(Enumerable.Range(0, 1000), await reading);
    }

    [Fact(Timeout = 30_000)]
    public async Task A_failure_comes_after_the_events_before_it()
    {
        _buffer.Write(Token(1));
        _buffer.Complete(new InvalidOperationException("broken"));
        _buffer.Complete();
        _buffer.Write(Token(2));
        await using var reader = _buffer.ReadAllAsync(Timely).GetAsyncEnumerator(Timely);
        Assert.True(await reader.MoveNextAsync());
        Assert.Equal("broken", (await Assert.ThrowsAsync<InvalidOperationException>(() => reader.MoveNextAsync().AsTask())).Message);
    }

    [Fact(Timeout = 30_000)]
    public async Task It_is_full_at_its_size_until_half_of_it_has_been_read()
    {
        var wakes = 0;
        _buffer.HasRoom = () => wakes++;
        var (text, written) = (new string('x', 1000), 0);
        for (; !_buffer.IsFull; written++) _buffer.Write(new AnswerTokens(text, [written]));
        Assert.InRange(written, AnswerBuffer.MostBytes / 1300, AnswerBuffer.MostBytes / 1000);
        var room = _buffer.WaitForRoomAsync(Timely);
        for (var read = 0; read < written; read++)
        {
            Assert.Equal(wakes == 0, _buffer.IsFull);
            Assert.InRange(read, 0, wakes > 0 ? written : (written / 2) + 1);
            Assert.True(_buffer.TryTake(out _, out _));
        }

        await room;
        Assert.Equal(1, wakes);
        Assert.False(_buffer.TryTake(out _, out var changed));
        Assert.False(changed!.IsCompleted);
    }

    [Fact(Timeout = 30_000)]
    public async Task A_reader_that_takes_nothing_for_the_longest_stall_gets_aborted_and_no_later_event()
    {
        _buffer.Write(Token(1));
        _buffer.Write(Token(2));
        _time.Advance(Stall / 2);
        Assert.True(_buffer.TryTake(out _, out _)); // every event that is taken begins the time anew
        _time.Advance(Stall / 2);
        Assert.False(_buffer.Stalled.IsCancellationRequested);
        _time.Advance(Stall / 2);
        Assert.True(_buffer.Stalled.IsCancellationRequested);
        _buffer.Write(Token(3));
        var aborted = await Assert.ThrowsAsync<FlamingoException>(ReadAsync);
        Assert.Equal(FlamingoErrorKind.Aborted, aborted.Kind);
        Assert.Contains("Section:Option", aborted.Message, StringComparison.Ordinal);
    }

    [Fact(Timeout = 30_000)]
    public async Task A_reader_that_waits_for_the_writer_never_stalls()
    {
        var reading = ReadAsync();
        _time.Advance(10 * Stall);
        _buffer.Write(Token(1));
        _buffer.Complete();
        Assert.Equal([1], await reading);
        Assert.False(_buffer.Stalled.IsCancellationRequested);
    }

    [Fact(Timeout = 30_000)]
    public async Task A_reader_can_be_cancelled_while_it_waits()
    {
        using var source = new CancellationTokenSource();
        await using var reader = _buffer.ReadAllAsync(source.Token).GetAsyncEnumerator(Timely);
        var waiting = reader.MoveNextAsync().AsTask();
        await source.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
    }

    private static AnswerTokens Token(int id) => new("a", [id]);

    private async Task<List<int>> ReadAsync()
    {
        var ids = new List<int>();
        await foreach (var item in _buffer.ReadAllAsync(Timely)) ids.AddRange(((AnswerTokens)item).Ids);
        return ids;
    }
}
