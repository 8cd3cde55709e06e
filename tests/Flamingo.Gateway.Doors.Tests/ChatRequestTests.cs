using System.Reflection;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Gateway.Tasks;

namespace Flamingo.Gateway.Doors.Tests;

/// <summary>What the native request of a chat holds, and that it is the one of the native tasks.</summary>
public sealed class ChatRequestTests
{
    private static readonly FlamingoPicture Dog = new("dog"u8.ToArray());

    private const string Picture = """{"type":"image_url","image_url":"data:image/png;base64,ZG9n"}""";

    [Fact(Timeout = 60_000)]
    public async Task Every_sampling_parameter_can_be_sent()
    {
        await using var server = await DoorServer.StartAsync(TestContext.Current.CancellationToken);
        var absent = new SamplingParameters();
        var changed = new HashSet<string>();
        foreach (var fields in new[]
        {
            """
            "max_completion_tokens":9,"temperature":0.5,"top_p":0.9,"seed":3,"stop":"x","n":2,"logit_bias":{"7":-100},"logprobs":true,
            "frequency_penalty":0.1,"presence_penalty":0.2,"flamingo":{"top_k":4,"min_p":0.3,"repetition_penalty":1.2,"stop_tokens":[8],
            "no_repeat_ngram_size":3,"min_tokens":2,"allowed_tokens":[10,11]}
            """,
            """ "flamingo":{"task":"raw","beams":2,"length_penalty":0.5} """,
        })
        {
            await server.AskAsync("/v1/chat/completions", $$"""{"messages":[{"role":"user","content":"hi"}],{{fields}}}""");
            var sampling = server.Flamingo.Asked.Sampling;
            foreach (var property in typeof(SamplingParameters).GetProperties(BindingFlags.Public | BindingFlags.Instance))
                if (JsonSerializer.Serialize(property.GetValue(sampling)) != JsonSerializer.Serialize(property.GetValue(absent)))
                    changed.Add(property.Name);
        }

        Assert.Equal(typeof(SamplingParameters).GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Select(property => property.Name).Order(), changed.Order());
    }

    [Fact(Timeout = 60_000)]
    public async Task Null_is_absent_everywhere()
    {
        await using var server = await DoorServer.StartAsync(TestContext.Current.CancellationToken);
        await server.AskAsync("/v1/chat/completions", """
            {"model":null,"messages":[{"role":"user","content":"hi","name":null}],"max_completion_tokens":null,"max_tokens":null,
            "temperature":null,"top_p":null,"seed":null,"stop":null,"n":null,"logit_bias":null,"logprobs":null,"top_logprobs":null,
            "frequency_penalty":null,"presence_penalty":null,"stream":null,"stream_options":null,"user":null,"metadata":null,"store":null,
            "tools":null,"tool_choice":null,"response_format":null,"audio":null,"flamingo":{"task":null,"zero_shot":null,
            "support_set":null,"beams":null,"pin":null,"attention":null,"allowed_tokens":null,"seed":null,"unknown":null}}
            """);
        Flamingo.Testing.Same.Content(
            new SamplingParameters { StopStrings = server.Flamingo.Asked.Sampling.StopStrings }, server.Flamingo.Asked.Sampling);
    }

    /// <summary>The same conversation over the native tasks is the same request, and its answer the same text.</summary>
    [Fact(Timeout = 60_000)]
    public async Task A_chat_is_the_request_that_the_native_tasks_make()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await DoorServer.StartAsync(cancellation);
        var (flamingo, tasks) = (server.Flamingo, new TemplateTasks(server.Flamingo));
        flamingo.Says = [" a", "", " dog ", "  "];

        var caption = await tasks.CaptionAsync(new CaptionTask(new TaskPrompt(Dog), new()), cancellation);
        await SameAsync(caption.Text, $$"""[{"role":"user","content":[{{Picture}}]}]""");

        var answer = await tasks.AnswerAsync(
            new AnswerTask(new TaskPrompt(Dog) { Examples = [new(Dog, "why?", "so")] }, "what <image>?", new()), cancellation);
        await SameAsync(answer.Text, $$"""
            [{"role":"user","content":[{{Picture}},{"type":"text","text":"why?"}]},{"role":"assistant","content":"so"},
            {"role":"user","content":[{{Picture}},{"type":"text","text":"what <image>?"}]}]
            """);

        flamingo.Model = flamingo.Model with { Language = flamingo.Model.Language with { Prompts = Templates.Chat } };
        var reply = await tasks.ReplyAsync(new ChatTask([new([Dog, Dog], "what?", "a dog"), new([], "and?")], new()), cancellation);
        await SameAsync(reply.Text, $$"""
            [{"role":"user","content":[{{Picture}},{{Picture}},{"type":"text","text":"what?"}]},{"role":"assistant","content":"a dog"},
            {"role":"user","content":"and?"}]
            """);

        async Task SameAsync(string text, string messages)
        {
            var native = flamingo.Asked;
            var whole = await server.AskAsync("/v1/chat/completions", $$"""{"messages":{{messages}}}""");
            Assert.Equal(text, whole.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
            Flamingo.Testing.Same.Content(native, flamingo.Asked);
            using var streamed = await server.ChatAsync($$"""{"stream":true,"messages":{{messages}}}""");
            var parts = (await streamed.Content.ReadAsStringAsync(cancellation)).Split("\n\n", StringSplitOptions.RemoveEmptyEntries)
                .SkipLast(1).Select(part => JsonElement.Parse(part["data: ".Length..]).GetProperty("choices")[0].GetProperty("delta"));
            Assert.Equal(text, string.Concat(
                parts.Select(delta => delta.TryGetProperty("content", out var content) ? content.GetString() : "")));
            Flamingo.Testing.Same.Content(native, flamingo.Asked);
        }
    }

    [Fact(Timeout = 60_000)]
    public async Task The_tenant_is_that_of_the_header_and_a_malformed_one_is_refused()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var server = await DoorServer.StartAsync(cancellation);
        server.Client.DefaultRequestHeaders.Add("flamingo-tenant", "team-a");
        await server.AskAsync("/v1/chat/completions", """{"messages":[{"role":"user","content":"hi"}]}""");
        await server.AskAsync("/v1/embeddings", """{"input":"data:image/png;base64,ZG9n"}""");
        Assert.Equal(("team-a", "team-a"), (server.Flamingo.Asked.Tenant, server.Flamingo.Encoded.Last().Tenant));
        server.Client.DefaultRequestHeaders.Remove("flamingo-tenant");
        server.Client.DefaultRequestHeaders.Add("flamingo-tenant", "team a");
        using var refused = await server.ChatAsync("""{"messages":[{"role":"user","content":"hi"}]}""");
        Assert.Equal(400, (int)refused.StatusCode);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_model_has_its_aliases_or_the_name_of_its_directory()
    {
        var cancellation = TestContext.Current.CancellationToken;
        async Task<IEnumerable<string?>> NamesAsync(params (string, string)[] settings)
        {
            await using var server = await DoorServer.StartAsync(cancellation, settings: settings);
            var models = JsonElement.Parse(await server.Client.GetStringAsync(new Uri("/v1/models", UriKind.Relative), cancellation));
            foreach (var model in models.GetProperty("data").EnumerateArray())
                await server.AskAsync("/v1/chat/completions",
                    $$"""{"model":"{{model.GetProperty("id")}}","messages":[{"role":"user","content":"hi"}]}""");
            return models.GetProperty("data").EnumerateArray().Select(model => model.GetProperty("id").GetString());
        }

        Assert.Equal(["scripted"], await NamesAsync());
        Assert.Equal(["scripted", "shapes"], await NamesAsync(("Model:Directory", "models/shapes/")));
        Assert.Equal(["scripted", "a", "b"], await NamesAsync(("Model:Directory", "models/shapes"), ("Gateway:ModelAliases", "a, b,a")));
    }
}
