using Flamingo.Testing;
using Grpc.Core;
using Grpc.Net.Client;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.SystemTests.Distributed;

/// <summary>Lists of 300,000 elements are refused in a moment, while a neighbour is answered.</summary>
public sealed class WrongCountTests(Stack shared) : HostTests(shared)
{
    private const int Many = 300_000;

    [Fact(Timeout = 60_000)]
    public async Task Very_long_lists_are_refused_by_field_and_a_neighbour_is_answered()
    {
        using var channel = GrpcChannel.ForAddress(Shared.Gateway.Address);
        using var neighbours = GrpcChannel.ForAddress(Shared.Gateway.Address);
        var (flamingo, tasks) = (new V1.Flamingo.FlamingoClient(channel), new V1.Tasks.TasksClient(channel));
        var empty = Enumerable.Repeat("", Many);
        var prompt = new V1.TaskPrompt { Visual = new V1.Visual { PictureId = new string('a', 64) } };
        V1.PromptSegment[] text = [new() { Text = "Output:" }];
        var calls = new (string Field, Func<Task> Call)[]
        {
            ("candidates", () => flamingo.RankAsync(
                new V1.RankRequest { Segments = { text }, Candidates = { empty } }, deadline: Deadline.In(20)).ResponseAsync),
            ("labels", () => tasks.ClassifyAsync(
                new V1.ClassifyRequest { Prompt = prompt, Labels = { empty } }, deadline: Deadline.In(20)).ResponseAsync),
            ("segments", () => Read(new V1.GenerateRequest
            {
                Segments = { Enumerable.Repeat(new V1.PromptSegment { Text = "" }, Many) },
            })),
            ("sampling.stop_tokens", () => Read(new V1.GenerateRequest
            {
                Segments = { text }, Sampling = new V1.Sampling { StopTokens = { Enumerable.Repeat(-1, Many) } },
            })),
            ("sampling.stop_strings", () => Read(new V1.GenerateRequest
            {
                Segments = { text }, Sampling = new V1.Sampling { StopStrings = { empty } },
            })),
            ("sampling.allowed_tokens", () => Read(new V1.GenerateRequest
            {
                Segments = { text }, Sampling = new V1.Sampling { AllowedTokens = { Enumerable.Repeat(1, Many) } },
            })),
        };
        var attacks = Task.WhenAll(calls.Select(async attack =>
        {
            var refused = await Assert.ThrowsAsync<RpcException>(attack.Call);
            Assert.Equal(StatusCode.InvalidArgument, refused.StatusCode);
            Assert.Contains(attack.Field, refused.Status.Detail, StringComparison.Ordinal);
            Assert.Contains($"{Many}", refused.Status.Detail, StringComparison.Ordinal);
        }));
        using var neighbour = new V1.Flamingo.FlamingoClient(neighbours).Generate(
            new V1.GenerateRequest { Segments = { text } }, deadline: Deadline.In(10));
        while (await neighbour.ResponseStream.MoveNext(Cancellation)) { }
        await attacks;

        async Task Read(V1.GenerateRequest request)
        {
            using var call = flamingo.Generate(request, deadline: Deadline.In(20));
            while (await call.ResponseStream.MoveNext(Cancellation)) { }
        }
    }
}
