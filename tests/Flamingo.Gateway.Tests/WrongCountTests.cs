using System.Collections;
using Flamingo.Abstractions;
using Microsoft.Extensions.DependencyInjection;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests;

/// <summary>
/// Every list of every public request has a limit, and the elements of a list that is too long are not looked at: the lists of these tests
/// throw if they are.
/// </summary>
public sealed class WrongCountTests : IAsyncDisposable
{
    private const int Many = 300_000;

    private readonly Stage _stage = new();
    private readonly ServiceProvider _services;

    public WrongCountTests()
    {
        PromptTemplate template = new("{picture}Output:{answer}\n"), asking = new("{picture}Question:{question} Answer:{answer}\n");
        _stage.Language = _stage.Language with
        {
            Prompts = new() { Caption = template, Answer = asking, Classify = template, Chat = asking },
        };
        _services = _stage.Services();
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static TaskPrompt Prompt => new(Picture(1));

    public ValueTask DisposeAsync() => _services.DisposeAsync();

    public static TheoryData<string> Requests => [.. Calls.Keys];

    private static Dictionary<string, Func<IServiceProvider, Task>> Calls { get; } = new()
    {
        ["segments"] = services => Generate(services, new(new Untouchable<FlamingoSegment>(Many), new())),
        ["segments of a ranking"] = services => Flamingo(services).RankAsync(
            new(new Untouchable<FlamingoSegment>(Many), ["x"]), Cancellation),
        ["candidates"] = services => Flamingo(services).RankAsync(
            new([new FlamingoText("x")], new Untouchable<string>(Many)), Cancellation),
        ["pictures"] = services => Flamingo(services).EncodeAsync(new(new Untouchable<FlamingoVisual>(Many)), Cancellation),
        ["sampling.allowed_tokens"] = services => Sample(services, new() { AllowedTokens = new Untouchable<int>(Many) }),
        ["sampling.stop_tokens"] = services => Sample(services, new() { StopTokens = new Untouchable<int>(Many) }),
        ["sampling.stop_strings"] = services => Sample(services, new() { StopStrings = new Untouchable<string>(Many) }),
        ["attention.layers"] = services => Generate(
            services, new([new FlamingoText("x")], new()) { Attention = new(new Untouchable<int>(Many), []) }),
        ["examples"] = services => services.GetRequiredService<ISupportSets>().PutAsync(
            new PutSupportSet("set", new Untouchable<SupportExample>(Many)), Cancellation),
        ["prompt.examples"] = services => Tasks(services).CaptionAsync(
            new(Prompt with { Examples = new Untouchable<TaskExample>(Many) }, new()), Cancellation),
        ["labels"] = services => Tasks(services).ClassifyAsync(new(Prompt, new Untouchable<string>(Many)), Cancellation),
        ["turns"] = services => Drain(Tasks(services).ChatAsync(new(new Untouchable<ChatTurn>(Many), new()), Cancellation)),
        ["turns with pictures"] = services => Drain(Tasks(services).ChatAsync(
            new([new ChatTurn(new Untouchable<FlamingoVisual>(Many), "x")], new()), Cancellation)),
    };

    [Theory]
    [MemberData(nameof(Requests))]
    public async Task A_list_that_is_too_long_is_one_fault_and_its_elements_are_not_looked_at(string request)
    {
        var refusal = await Assert.ThrowsAsync<FlamingoException>(() => Calls[request](_services));
        Assert.Equal(FlamingoErrorKind.InvalidArgument, refusal.Kind);
        var fault = Assert.Single(refusal.Faults);
        Assert.Equal(request.Split(' ')[0], fault.Field);
        Assert.Contains($"{Many}", fault.Problem, StringComparison.Ordinal);
        Assert.Empty(_stage.Encodes);
        Assert.Empty(_stage.Prompts);
    }

    [Fact]
    public async Task Many_wrong_elements_give_sixteen_faults_and_a_number()
    {
        var refusal = await Assert.ThrowsAsync<FlamingoException>(
            () => Flamingo(_services).GenerateAsync(
                new([.. Enumerable.Repeat(new FlamingoPictureId("x"), 1000)], new()), Cancellation).ToListAsync(Cancellation).AsTask());
        Assert.Equal((FaultList.Most, 985), (refusal.Faults.Count, refusal.FurtherFaults)); // each id, and the number of pictures
    }

    private static IFlamingo Flamingo(IServiceProvider services) => services.GetRequiredService<IFlamingo>();

    private static ITasks Tasks(IServiceProvider services) => services.GetRequiredService<ITasks>();

    private static Task Sample(IServiceProvider services, SamplingParameters sampling) =>
        Generate(services, new([new FlamingoText("x")], sampling));

    private static Task Generate(IServiceProvider services, FlamingoRequest request) =>
        Drain(Flamingo(services).GenerateAsync(request, Cancellation));

    private static async Task Drain(IAsyncEnumerable<AnswerEvent> answer) => await answer.ToListAsync(Cancellation);

    private sealed class Untouchable<T>(int count) : IReadOnlyList<T>
    {
        public int Count => count;

        public T this[int index] => throw new InvalidOperationException("An element was looked at.");

        public IEnumerator<T> GetEnumerator() => throw new InvalidOperationException("The elements were looked at.");

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
