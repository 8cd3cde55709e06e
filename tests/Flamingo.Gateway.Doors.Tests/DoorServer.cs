using System.Net;
using System.Text;
using System.Text.Json;
using Flamingo.Abstractions;
using Flamingo.Gateway.Doors.OpenAI;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace Flamingo.Gateway.Doors.Tests;

/// <summary>A real server with OpenAI's API over a scripted service. Its clock stands still.</summary>
internal sealed class DoorServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private DoorServer(WebApplication app)
    {
        _app = app;
        Client = new HttpClient { BaseAddress = new Uri(Address) };
    }

    public ScriptedFlamingo Flamingo { get; private init; } = null!;

    public HttpClient Client { get; }

    public string Address => _app.Urls.First();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static async Task<DoorServer> StartAsync(
        CancellationToken cancellation, Action<IServiceCollection>? replace = null, params (string Key, string Value)[] settings)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Configuration.AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create(setting.Key, (string?)setting.Value)));
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Listen(IPAddress.Loopback, 0);
        });
        var flamingo = new ScriptedFlamingo();
        builder.Services.AddSingleton<IFlamingo>(flamingo);
        builder.Services.AddSingleton<TimeProvider>(new FakeTimeProvider(DateTimeOffset.FromUnixTimeSeconds(1_700_000_000)));
        builder.Services.AddOpenAiDoor();
        replace?.Invoke(builder.Services);
        var app = builder.Build();
        app.MapOpenAiDoor();
        await app.StartAsync(cancellation);
        return new DoorServer(app) { Flamingo = flamingo };
    }

    public Task<HttpResponseMessage> PostAsync(string path, string body) =>
        Client.PostAsync(new Uri(path, UriKind.Relative), new StringContent(body, Encoding.UTF8, "application/json"), Cancellation);

    public Task<HttpResponseMessage> ChatAsync(string body) => PostAsync("/v1/chat/completions", body);

    /// <summary>Posts and returns the body of a successful answer.</summary>
    public async Task<JsonElement> AskAsync(string path, string body)
    {
        using var answer = await PostAsync(path, body);
        var text = await answer.Content.ReadAsStringAsync(Cancellation);
        Assert.True(answer.IsSuccessStatusCode, text);
        return JsonElement.Parse(text);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _app.DisposeAsync();
    }
}
