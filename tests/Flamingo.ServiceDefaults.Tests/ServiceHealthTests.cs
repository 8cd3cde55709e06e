using Flamingo.Fixtures;
using Flamingo.Stages;
using Flamingo.Testing;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Testing;
using Status = Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace Flamingo.ServiceDefaults.Tests;

/// <summary>The health service of a running service, over a real connection.</summary>
public sealed class ServiceHealthTests : IAsyncLifetime
{
    private static readonly string[] Names = ["", ServiceHealth.Ready, ServiceHealth.Live];

    private readonly int _port = FreePort.Next();
    private readonly Worker _worker = new("the worker");
    private readonly Condition _condition = new();
    private readonly FakeLoggerProvider _logs = new();
    private readonly TaskCompletionSource _calling = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _call = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private WebApplication _app = null!;
    private GrpcChannel _channel = null!;
    private Health.HealthClient _health = null!;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateBuilder();
        builder.Configuration.AddInMemoryCollection(
        [
            new("Endpoints:GrpcPort", $"{_port}"), new("Endpoints:Listen", "loopback"), new("Health:LiveTimeout", "200ms"),
            new("Health:ExitTimeout", "1h"),
        ]);
        builder.AddServiceDefaults();
        builder.Services.AddGrpc();
        builder.Logging.ClearProviders().AddProvider(_logs);
        builder.Services.AddSingleton(new WorkerGroup([_worker])).AddSingleton<IReadiness>(_condition);
        _app = builder.Build();
        _app.MapServiceDefaults();
        _app.MapGet("/slow", async () =>
        {
            _calling.SetResult();
            await _call.Task;
            return Results.Ok();
        });
        await _app.StartAsync(Cancellation);
        _channel = GrpcChannel.ForAddress($"http://127.0.0.1:{_port}");
        _health = new Health.HealthClient(_channel);
    }

    public async ValueTask DisposeAsync()
    {
        _call.TrySetResult();
        _channel.Dispose();
        await _app.DisposeAsync();
    }

    [Fact(Timeout = 60_000)]
    public async Task Ready_follows_the_conditions_and_live_does_not()
    {
        Assert.Equal([Status.Serving, Status.Serving, Status.Serving], await AllAsync());
        _condition.Problem = "The stages do not fit together.";
        Assert.Equal([Status.NotServing, Status.NotServing, Status.Serving], await AllAsync());
        _condition.Problem = null;
        Assert.Equal([Status.Serving, Status.Serving, Status.Serving], await AllAsync());
        var unknown = await Assert.ThrowsAsync<RpcException>(() => CheckAsync("flamingo.unknown"));
        Assert.Equal(StatusCode.NotFound, unknown.StatusCode);
        using var watch = _health.Watch(new HealthCheckRequest { Service = "flamingo.unknown" }, cancellationToken: Cancellation);
        Assert.True(await watch.ResponseStream.MoveNext(Cancellation));
        Assert.Equal(Status.ServiceUnknown, watch.ResponseStream.Current.Status);
    }

    [Fact(Timeout = 60_000)]
    public async Task Each_new_reason_for_not_being_ready_is_logged_once()
    {
        foreach (var problem in new[] { "The stages have not answered.", "The stages have not answered.", "The resampler is away.", null })
        {
            _condition.Problem = problem;
            await CheckAsync(ServiceHealth.Ready);
        }

        Assert.Equal(
            ["The service is not ready: The stages have not answered.", "The service is not ready: The resampler is away."],
            _logs.Collector.GetSnapshot().Where(line => line.Id.Id == 1005).Select(line => line.Message));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_stuck_worker_makes_the_process_neither_live_nor_ready_until_it_goes_on()
    {
        using var live = _health.Watch(new HealthCheckRequest { Service = ServiceHealth.Live }, cancellationToken: Cancellation);
        Assert.Equal(Status.Serving, await NextAsync(live));
        _worker.Begin();
        while (await CheckAsync(ServiceHealth.Live) == Status.Serving) { } // each round is a call
        Assert.Equal([Status.NotServing, Status.NotServing, Status.NotServing], await AllAsync());
        Assert.Equal(Status.NotServing, await NextAsync(live));
        _worker.End();
        while (await CheckAsync(ServiceHealth.Live) != Status.Serving) { }
        Assert.Equal([Status.Serving, Status.Serving, Status.Serving], await AllAsync());
        Assert.Equal(Status.Serving, await NextAsync(live));
    }

    [Fact(Timeout = 60_000)]
    public async Task A_service_that_stops_is_live_and_not_ready_at_once_although_a_call_still_runs()
    {
        using var ready = _health.Watch(new HealthCheckRequest { Service = ServiceHealth.Ready }, cancellationToken: Cancellation);
        Assert.Equal(Status.Serving, await NextAsync(ready));
        using var client = new HttpClient();
        (client.DefaultRequestVersion, client.DefaultVersionPolicy) = (new Version(2, 0), HttpVersionPolicy.RequestVersionExact);
        var call = client.GetAsync($"http://127.0.0.1:{_port}/slow", Cancellation);
        await _calling.Task.WaitAsync(Cancellation);
        _app.Services.GetRequiredService<IHostApplicationLifetime>().StopApplication();
        Assert.Equal([Status.NotServing, Status.NotServing, Status.Serving], await AllAsync());
        Assert.Equal(Status.NotServing, await NextAsync(ready));
        Assert.False(call.IsCompleted);
        _call.SetResult();
        Assert.True((await call).IsSuccessStatusCode);
    }

    [Fact(Timeout = 60_000)]
    public async Task The_probe_takes_the_name_of_a_service()
    {
        _condition.Problem = "A stage is away.";
        Assert.Equal((1, 0), (await HealthProbe.RunAsync(_port, ""), await HealthProbe.RunAsync(_port, ServiceHealth.Live)));
        Assert.Equal(
            ["", "flamingo.live", null, null],
            new[] { "--health", "--health=flamingo.live", "--healthy", "health" }.Select(HealthProbe.ServiceIn));
        Cancellation.ThrowIfCancellationRequested();
    }

    private async Task<Status[]> AllAsync() => await Task.WhenAll(Names.Select(CheckAsync));

    private async Task<Status> CheckAsync(string service) =>
        (await _health.CheckAsync(new HealthCheckRequest { Service = service }, cancellationToken: Cancellation)).Status;

    private static async Task<Status> NextAsync(AsyncServerStreamingCall<HealthCheckResponse> watch)
    {
        Assert.True(await watch.ResponseStream.MoveNext(Cancellation));
        return watch.ResponseStream.Current.Status;
    }

    private sealed class Condition : IReadiness
    {
        public string? Problem { get; set; }

        public Task CheckAsync(CancellationToken cancellation) =>
            Problem is { } problem ? Task.FromException(new InvalidOperationException(problem)) : Task.CompletedTask;
    }
}
