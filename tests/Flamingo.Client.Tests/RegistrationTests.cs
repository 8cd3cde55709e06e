using Flamingo.Abstractions;
using Flamingo.Client.Tests.MicrosoftAI;
using Flamingo.Gateway.Doors.Tests;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Testing;

namespace Flamingo.Client.Tests;

/// <summary><c>AddFlamingoClient</c> registers one client and its interfaces.</summary>
public sealed class RegistrationTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact(Timeout = 60_000)]
    public async Task One_line_registers_the_client_and_all_its_interfaces()
    {
        await using var server = await ChatServer.StartAsync();
        FlamingoClient client;
        await using (var services = new ServiceCollection().AddFlamingoClient(server.Address).BuildServiceProvider())
        {
            client = services.GetRequiredService<FlamingoClient>();
            Assert.Same(client, services.GetRequiredService<IFlamingo>());
            Assert.Same(client, services.GetRequiredService<ITasks>());
            Assert.Same(client, services.GetRequiredService<ISupportSets>());
            Assert.Same(client, services.GetRequiredService<ILatentCacheOperations>());
            var chat = services.GetRequiredService<IChatClient>();
            Assert.Same(chat, services.GetRequiredService<IChatClient>());
            Assert.Equal("a dog", (await chat.GetResponseAsync("hi", cancellationToken: Cancellation)).Text);
            var generator = services.GetRequiredService<IEmbeddingGenerator<DataContent, Embedding<float>>>();
            Assert.Single(await generator.GenerateAsync(
                [new DataContent("dog"u8.ToArray(), "image/png")], cancellationToken: Cancellation));
        }

        await Assert.ThrowsAsync<ObjectDisposedException>(() => client.GetModelAsync(Cancellation)); // disposed with the container
    }

    [Fact(Timeout = 60_000)]
    public async Task Options_can_be_read_from_the_configuration_and_the_loggers_are_those_of_the_container()
    {
        await using var server = await ChatServer.StartAsync();
        var logs = new FakeLoggerProvider();
        var services = new ServiceCollection()
            .AddSingleton<IConfiguration>(new ConfigurationBuilder().AddInMemoryCollection(
                [new("Flamingo:Addresses:0", server.Address), new("Flamingo:Tenant", "team-a")]).Build())
            .AddLogging(logging => logging.SetMinimumLevel(LogLevel.Debug).AddProvider(logs))
            .AddFlamingoClient((provider, options) =>
            {
                var section = provider.GetRequiredService<IConfiguration>().GetSection("Flamingo");
                options.Addresses = section.GetSection("Addresses").Get<string[]>()!;
                options.Tenant = section["Tenant"]!;
            });
        await using var built = services.BuildServiceProvider();
        await built.GetRequiredService<IFlamingo>().CompleteAsync(new Prompt().Text("hi"), cancellation: Cancellation);
        Assert.Equal("team-a", server.Flamingo.Asked.Tenant);
        Assert.Contains(logs.Collector.GetSnapshot(), record => record.Category!.StartsWith("Grpc.Net.Client", StringComparison.Ordinal));
    }

    [Fact]
    public void A_wrong_option_is_told_when_the_client_is_asked_for()
    {
        foreach (var (configure, told) in new (Action<FlamingoClientOptions>, string)[]
        {
            (options => options.Addresses = ["localhost:8080"], "'localhost:8080' is not an address"),
            (options => options.Addresses = [], "Give at least one address"),
            (options => options.Tenant = "two words", "'two words' is not a valid tenant name"),
            (options => options.Key = "", "Key is empty"),
        })
        {
            using var services = new ServiceCollection().AddFlamingoClient(configure).BuildServiceProvider();
            foreach (var type in new[] { typeof(FlamingoClient), typeof(IFlamingo), typeof(IChatClient) })
                Assert.Contains(
                    told, Assert.Throws<ArgumentException>(() => services.GetRequiredService(type)).Message, StringComparison.Ordinal);
        }

        Assert.Throws<ArgumentException>(() => new ServiceCollection().AddFlamingoClient(" "));
        var twice = new ServiceCollection().AddFlamingoClient("http://localhost:1");
        Assert.Contains(
            "AddKeyedSingleton", Assert.Throws<InvalidOperationException>(() => twice.AddFlamingoClient("http://localhost:2")).Message,
            StringComparison.Ordinal);
    }

    /// <summary>A test of an application replaces the model, and the chat client is then one of the fake.</summary>
    [Fact(Timeout = 60_000)]
    public async Task A_fake_model_may_come_before_or_after()
    {
        var fake = new ScriptedFlamingo { Says = ["a fake"] };
        await using var before = new ServiceCollection().AddSingleton<IFlamingo>(fake).AddFlamingoClient("http://nowhere")
            .BuildServiceProvider();
        await using var after = new ServiceCollection().AddFlamingoClient("http://nowhere").AddSingleton<IFlamingo>(fake)
            .BuildServiceProvider();
        foreach (var services in new[] { before, after })
        {
            var chat = services.GetRequiredService<IChatClient>();
            Assert.Equal("a fake", (await chat.GetResponseAsync("hi", cancellationToken: Cancellation)).Text);
            Assert.Same(fake, chat.GetService<IFlamingo>());
        }
    }
}
