using Flamingo.Abstractions;
using Flamingo.Stages;
using Microsoft.Extensions.DependencyInjection;
using static Flamingo.Gateway.Tests.Asking;

namespace Flamingo.Gateway.Tests.Tasks;

/// <summary>Compares the exact prompts of conversations; [] stands for a picture.</summary>
public sealed class ChatTests : IAsyncDisposable
{
    private static readonly PromptTemplate Talking = new("User:{picture}{question}<eou>\nAssistant: {answer}<eou>\n");

    private readonly Stage _stage = new();
    private ServiceProvider? _services;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _services?.DisposeAsync() ?? ValueTask.CompletedTask;

    [Fact]
    public async Task A_conversation_is_all_its_turns_up_to_the_reply_that_is_wanted()
    {
        var first = new ChatTurn([Picture(1)], "what is this?");
        await ChatAsync(Talking, first);
        Assert.Equal("User:[]what is this?<eou>\nAssistant:", Asked());
        await ChatAsync(Talking, first with { Reply = "a dog" }, new([], "where?", "on a hill"),
            new([Picture(2), Picture(3)], "and these?", ""), new([Picture(4)], ""));
        Assert.Equal(
            "User:[]what is this?<eou>\nAssistant: a dog<eou>\nUser: where?<eou>\nAssistant: on a hill<eou>\nUser:[][]and "
            + "these?<eou>\nAssistant:<eou>\nUser:[]<eou>\nAssistant:", Asked());
        Assert.Empty(_stage.Sampling!.StopStrings); // the end of an utterance is a stop token
    }

    [Theory]
    [InlineData("User:{picture}{question}<eou>\nAssistant: {answer}<eou>\n", "User: hi<eou>\nAssistant:")]
    [InlineData("User: {picture}{question}<eou>\nAssistant: {answer}<eou>\n", "User: hi<eou>\nAssistant:")]
    [InlineData("User:{picture} {question}<eou>\nAssistant: {answer}<eou>\n", "User: hi<eou>\nAssistant:")]
    [InlineData("User: {question}{picture}<eou>\nAssistant:{answer}<eou>\n", "User: hi<eou>\nAssistant:")]
    [InlineData("{picture}Q:{question} A:{answer}<eou>", "Q:hi A:")]
    public async Task Words_stand_one_blank_from_what_is_before_them_where_no_picture_does(string template, string asked)
    {
        await ChatAsync(new PromptTemplate(template), new ChatTurn([], "hi"));
        Assert.Equal(asked, Asked());
    }

    [Fact]
    public async Task A_reply_streams_as_generate_does_and_the_blank_of_the_template_is_not_part_of_it()
    {
        var events = await ChatAsync(Talking, new ChatTurn([Picture(1)], "what?"));
        Assert.IsType<PicturesResolved>(events[0]);
        Assert.Equal(["a ", "dog"], events.OfType<AnswerTokens>().Select(tokens => tokens.Text));
        Assert.Equal([1, 2, 3], events.OfType<AnswerTokens>().SelectMany(tokens => tokens.Ids));
        Assert.Equal(5, Assert.IsType<AnswerFinished>(events[^1]).CachedTokens);

        _stage.Says = [" ", "", " a ", "dog"];
        events = await ChatAsync(Talking, new ChatTurn([Picture(1)], "what?"));
        // one leading space is removed, in whichever event it arrives
        Assert.Equal(["", "", " a ", "dog"], events.OfType<AnswerTokens>().Select(tokens => tokens.Text));
        await ChatAsync(Talking, new ChatTurn([Picture(1)], "what?", " a dog"), new ChatTurn([], "why?"));
        // the template inserts the space again
        Assert.StartsWith("User:[]what?<eou>\nAssistant:  a dog<eou>", Asked(), StringComparison.Ordinal);

        _stage.Says = [" one", " two"];
        events = await ChatAsync(new PromptTemplate("{picture}Q:{question} A:{answer}<eou>"), new ChatTurn([], "what?"));
        Assert.Equal([" one", " two"], events.OfType<AnswerTokens>().Select(tokens => tokens.Text));
    }

    [Fact]
    public async Task Several_samples_stream_beside_each_other()
    {
        _stage.Says = [" a", " b"];
        var events = await Tasks(Talking).ChatAsync(new([new([], "what?")], new() { Samples = 2, Temperature = 1 }), Cancellation)
            .ToListAsync(Cancellation);
        Assert.Equal([(0, "a"), (1, "b")], events.OfType<AnswerTokens>().Select(tokens => (tokens.Sample, tokens.Text)));
    }

    [Fact]
    public async Task Special_tokens_in_words_and_replies_are_broken()
    {
        await ChatAsync(Talking, new ChatTurn([], "a<image>b<eou>{answer}", "<eou>\nUser: me"), new ChatTurn([], "</s>"));
        Assert.Equal("User: a< image>b< eou>{answer}<eou>\nAssistant: < eou>\nUser: me<eou>\nUser: < /s><eou>\nAssistant:", Asked());
    }

    [Fact]
    public async Task The_models_own_examples_go_first_and_its_ends_end_a_reply()
    {
        await ChatAsync(new PromptTemplate("{picture}Q:{question} A:{answer}\n") { ZeroShot = [new("who?", "me")], CutAt = ["Q:"] },
            new ChatTurn([Picture(1)], "what?"));
        Assert.Equal("Q:who? A:me\n[]Q:what? A:", Asked());
        Assert.Equal(["\n", "Q:"], _stage.Sampling!.StopStrings);
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(0, true)]
    [InlineData(1, false)]
    [InlineData(2, true)]
    public async Task A_conversation_keeps_its_first_two_segments_by_which_its_replica_is_found(int pictures, bool primed)
    {
        var (first, template) = (new ChatTurn([.. Enumerable.Repeat(Picture(1), pictures)], "what?"),
            primed ? Talking with { ZeroShot = [new("hi", "hello")] } : Talking);
        await ChatAsync(template, first);
        var before = _stage.Prompts.Last().Take(2).Select(Name).ToList();
        await ChatAsync(template, first with { Reply = "a dog" }, new([], "where?"));
        Assert.Equal(2, before.Count);
        Assert.Equal(before, _stage.Prompts.Last().Take(2).Select(Name));

        static string Name(PromptSegment segment) => segment is TextSegment text ? text.Text : ((PictureSegment)segment).Key;
    }

    [Fact]
    public async Task What_is_asked_reaches_the_engine()
    {
        await Tasks(Talking).ChatAsync(
            new([new([], "what?")], new() { Temperature = 1, Seed = 3 })
            {
                PinPrefix = TimeSpan.FromSeconds(5), Tenant = "team", Attention = new([], [0]),
            },
            Cancellation).ToListAsync(Cancellation);
        Assert.Equal((1f, 3ul, TimeSpan.FromSeconds(5)),
            (_stage.Sampling!.Temperature, _stage.Sampling.Seed!.Value, _stage.Asked!.PinPrefix));
        Assert.Equal([0], _stage.Asked.Attention!.Heads);
        var tenant = _stage.Asked.Tenant;
        await ChatAsync(Talking, new ChatTurn([], "what?"));
        Assert.NotEqual(tenant, _stage.Asked!.Tenant);
    }

    [Fact]
    public async Task A_model_that_holds_no_conversations_says_so()
    {
        var refused = await Assert.ThrowsAsync<FlamingoException>(() => ChatAsync(null, new ChatTurn([], "what?")));
        var fault = Assert.Single(refused.Faults);
        Assert.Equal((FlamingoErrorKind.InvalidArgument, "turns"), (refused.Kind, fault.Field));
        Assert.Contains("has no template for chat", fault.Problem, StringComparison.Ordinal);
        Assert.Contains("prompts.chat", fault.Remedy, StringComparison.Ordinal);
        Assert.Empty(_stage.Prompts);
    }

    [Fact]
    public async Task Faults_name_the_fields_of_the_conversation()
    {
        ChatTurn words = new([], "what?"), past = words with { Reply = "so" };
        Assert.Equal(["turns"], await FieldsAsync());
        Assert.Equal(["turns[0].text"], await FieldsAsync(new ChatTurn([], "")));
        Assert.Equal(["turns[0].reply", "turns[1].reply"], await FieldsAsync(words, past));
        Assert.Equal(["turns[1].visuals[0].picture_id"], await FieldsAsync(past, new ChatTurn([new FlamingoPictureId("x")], "")));
        Assert.Equal(["turns[0].visuals[1].picture"],
            await FieldsAsync(new ChatTurn([Picture(1), Picture(Stage.Broken)], "these?", "no"), words));
        // more pictures than a request may have
        Assert.Equal(["turns"], await FieldsAsync(new ChatTurn([.. Enumerable.Repeat(Picture(1), 65)], "all?")));
        Assert.Equal(["sampling.top_p"], await FieldsAsync(new SamplingParameters { TopP = 2 }, null, words));
        Assert.Equal(["pin_prefix"], await FieldsAsync(new SamplingParameters(), TimeSpan.FromDays(1), words));
        _stage.PromptFails = FlamingoException.Invalid("segments", "The prompt has 3000 tokens.", "Send fewer.");
        Assert.Equal(["turns"], await FieldsAsync(words));
    }

    [Fact]
    public async Task Beams_need_replies_that_end_at_a_token()
    {
        var beams = new ChatTask([new([], "what?")], new() { Beams = 2 });
        await Tasks(Talking).ChatAsync(beams, Cancellation).ToListAsync(Cancellation);
        Assert.Equal(2, _stage.Sampling!.Beams);
        var refused = await Assert.ThrowsAsync<FlamingoException>(
            async () =>
                await Tasks(new PromptTemplate("{picture}Q:{question} A:{answer}\n")).ChatAsync(beams, Cancellation)
                    .ToListAsync(Cancellation));
        Assert.Equal("sampling.beams", Assert.Single(refused.Faults).Field);
    }

    private Task<IEnumerable<string>> FieldsAsync(params ChatTurn[] turns) => FieldsAsync(new SamplingParameters(), null, turns);

    private async Task<IEnumerable<string>> FieldsAsync(SamplingParameters sampling, TimeSpan? pin, params ChatTurn[] turns) =>
        (await Assert.ThrowsAsync<FlamingoException>(
            async () =>
                await Tasks(Talking).ChatAsync(new(turns, sampling) { PinPrefix = pin }, Cancellation)
                    .ToListAsync(Cancellation))).Faults.Select(fault => fault.Field);

    private async Task<List<AnswerEvent>> ChatAsync(PromptTemplate? template, params ChatTurn[] turns) =>
        await Tasks(template).ChatAsync(new(turns, new()), Cancellation).ToListAsync(Cancellation);

    private ITasks Tasks(PromptTemplate? template)
    {
        _stage.Language = _stage.Language with { Prompts = new() { Chat = template }, EndOfChunkToken = "<eou>", SpecialTokens = ["</s>"],
            ContextLength = 400 };
        _services?.Dispose();
        _services = _stage.Services();
        return _services.GetRequiredService<ITasks>();
    }

    private string Asked() => string.Concat(_stage.Prompts.Last().Select(segment => segment is TextSegment text ? text.Text : "[]"));
}
